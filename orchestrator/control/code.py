"""Which code a sweep's trials run: the project as it lies there, or a copy of it; said when it is another than before."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator import confined
from orchestrator.errors import ProgramError
from orchestrator.execution.shipping.baggage import Baggage, Code
from orchestrator.layout import SweepDir
from orchestrator.ledger.connection import explained
from orchestrator.project.kept import Copy, KeptCode
from orchestrator.project.listing import MOST_BYTES
from orchestrator.project.snapshot import shortly
from orchestrator.trial.contract.launch import Launch


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A copy that trials run from, instead of the project.

    Attributes:
        root: Where the project lies.
        path: Where its copy lies.
        cwd: The working directory in the copy.
        copy: What is known of it.
    """

    root: str
    path: str
    cwd: str
    copy: Copy

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


def settle_code(
    code: KeptCode, sweep_dir: SweepDir, *, pin: bool | None, say: Callable[[str], None], on_cluster: bool = False
) -> Pinned | None:
    """Keep a copy of the project with the sweep, and return it where trials are to run from it.

    Args:
        code: The sweep's copies.
        sweep_dir: Where the sweep lies.
        pin: Whether they are to, also after every resume; None to go on as before, and on a cluster to run from a copy of
            the project as it is now, if there can be one.
        say: Called with what the user should know: that the project is another than the one that trials ran.
        on_cluster: Whether trials run on several nodes, which may see other files than this one.

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
        if pin and kept.copy is None:
            raise ProgramError(str(kept.problem))
        if on_cluster and kept.copy is None:
            say(
                "trials run from the project itself, which every node must see; whether it is the same there is not "
                f"looked at: {kept.problem}"
            )
        if kept.copy is None or not (on_cluster if pin is None else pin):
            code.pin(None)
            return None
        code.pin(kept.copy if pin else None)
        found = _from(code, kept.copy)
        say(f"trials run from a copy of {found.root}: {found.path}")
        return found


def baggage_of(sweep_dir: SweepDir, code: KeptCode, pinned: Pinned | None) -> Baggage:
    """Return what trials need of a sweep's directory on nodes that do not see it."""
    files = {}
    if confined.is_file(sweep_dir.function_path, sweep_dir.path):
        files[sweep_dir.function_path.name] = confined.read_bytes(sweep_dir.function_path, sweep_dir.path)
    contents = None if pinned is None else code.contents(pinned.copy)
    if pinned is None or contents is None:
        return Baggage(files=files)
    copy = pinned.copy
    place = os.path.relpath(code.archive_path(copy).with_name(copy.fingerprint), sweep_dir.path)
    archive = confined.read_bytes(code.archive_path(copy), sweep_dir.path, most=2 * MOST_BYTES)
    return Baggage(files=files, code=Code(place=place, contents=contents.entries, archive=archive))


def _from(code: KeptCode, copy: Copy) -> Pinned:
    path = code.unpacked(copy)
    return Pinned(root=str(code.project.root), path=str(path), cwd=str(Path(path, copy.cwd)), copy=copy)
