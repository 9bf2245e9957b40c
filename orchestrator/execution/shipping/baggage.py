"""What a node that does not see the runs directory is given before trials run there: the sweep's own files, and its code."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.project.snapshot import Contents, unpack


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A copy of a project.

    Attributes:
        place: Where it is unpacked, relative to the sweep's directory.
        contents: What is in it.
        archive: It, packed.
    """

    place: str
    contents: Mapping[str, str]
    archive: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Baggage:
    """Files by their path in the sweep's directory, and the copy of the project that trials run from, if they do."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    code: Code | None = None

    def unpack(self, sweep_dir: Path) -> None:
        """Put everything in its place.

        Raises:
            OSError: It cannot be written.
            ProgramError: The copy is damaged.
        """
        for path, content in self.files.items():
            (sweep_dir / path).parent.mkdir(parents=True, exist_ok=True)
            (sweep_dir / path).write_bytes(content)
        if self.code is not None:
            archive = io.BytesIO(self.code.archive)
            unpack(archive, Contents(entries=self.code.contents), sweep_dir / self.code.place)
