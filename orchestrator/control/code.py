"""Which code a sweep's trials run: the project as it lies there, or a copy of it; said when it is another than before."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.errors import ProgramError
from orchestrator.layout import SweepDir
from orchestrator.ledger.connection import explained
from orchestrator.project.kept import Copy, KeptCode
from orchestrator.project.watching import shortly
from orchestrator.trial.contract.launch import Launch


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A copy that trials run from, instead of the project.

    Attributes:
        root: Where the project lies.
        path: Where its copy lies.
        cwd: The working directory in the copy.
    """

    root: str
    path: str
    cwd: str

    def moved(self, launch: Launch) -> Launch:
        """Return a launch that runs in the copy: its directory, a script named by its whole path, and PYTHONPATH."""
        target = self._place(launch.program.target)
        program = replace(launch.program, target=target)
        argv = tuple(target if word == launch.program.target else word for word in launch.argv)
        env = dict(launch.env)
        search = env.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
        found = os.pathsep.join(self._place(entry) for entry in search.split(os.pathsep))
        if found != search:
            env["PYTHONPATH"] = found
        return replace(launch, cwd=self.cwd, program=program, argv=argv, env=env)

    def _place(self, path: str) -> str:
        """A path in the project as the same in the copy; others, and relative ones, as they are."""
        if path == self.root:
            return self.path
        inside = path.startswith(f"{self.root}{os.sep}") and os.path.lexists(self.path + path[len(self.root) :])
        return self.path + path[len(self.root) :] if inside else path


def settle_code(code: KeptCode, sweep_dir: SweepDir, *, pin: bool | None, say: Callable[[str], None]) -> Pinned | None:
    """Keep a copy of the project with the sweep, and return it where trials are to run from it.

    Args:
        code: The sweep's copies.
        sweep_dir: Where the sweep lies.
        pin: Whether they are to; None to go on as before.
        say: Called with what the user should know: that the project is another than the one that trials ran.

    Raises:
        ProgramError: They are to, and there can be no copy.
        LedgerError: The sweep's directory cannot be written.
    """
    with explained(sweep_dir.path):
        before = code.pinned()
        if before is not None and pin is not False:
            changes = code.changes_since(before)
            if changes:
                say(
                    f"the project has changed since its copy was made ({shortly(changes)}): trials go on with the copy; "
                    "--no-pin runs the project as it is now"
                )
            return _from(code, before)
        kept = code.keep()
        if kept.changes:
            say(f"the project has changed since trials last ran: {shortly(kept.changes)}; from now on they run it so")
        if not pin:
            code.pin(None)
            return None
        if kept.copy is None:
            raise ProgramError(str(kept.problem))
        code.pin(kept.copy)
        found = _from(code, kept.copy)
        say(f"trials run from a copy of {found.root}: {found.path}")
        return found


def _from(code: KeptCode, copy: Copy) -> Pinned:
    path = code.unpacked(copy)
    return Pinned(root=str(code.project.root), path=str(path), cwd=str(Path(path, copy.cwd)))
