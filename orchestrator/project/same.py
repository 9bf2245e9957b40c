"""Whether a project is on a node as it is where the sweep was started."""

from dataclasses import dataclass
from pathlib import Path

from orchestrator.project.snapshot import Contents, changes_in, shortly


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must be at a place.

    Attributes:
        root: Where the project lies.
        contents: Its files as they are where the sweep was started.
    """

    root: str
    contents: Contents

    def mismatch(self) -> str | None:
        """Return what is otherwise here, as what a node is said to do; None when nothing is. It reads every file."""
        if not Path(self.root).is_dir():
            return f"has no directory {self.root}. {MEND}"
        changes = changes_in(Path(self.root), self.contents)
        return f"has other code than this machine in {self.root} ({shortly(changes)}). {MEND}" if changes else None


MEND = (
    "It gets no trials until it has the same; with --pin a copy of the project goes along, "
    "and .sweepignore names files that do not matter"
)
