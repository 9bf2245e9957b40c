"""What a run's log names to be sent with it: only what lies inside of the sweep goes up.

A log that came from elsewhere may name any path, and beside it any link may lie: what these lead to is this user's.
"""

import fnmatch
import gzip
import json
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from orchestrator import confined

WRITTEN_BY_SYNC = frozenset({"wandb-metadata.json", "wandb-summary.json", "config.yaml"})
"""Files of a run that wandb writes anew from the log when it sends it."""

ASKING = frozenset({"log_artifact", "download_artifact", "job_input"})
"""Requests that make wandb read or write files; no recorded run has them."""

MOST_LINE_BYTES, MOST_LINES = 1 << 20, 10_000_000
"""Bounds of the list of an artifact's files, where that is a file."""

_ESCAPED = re.compile(r"\[([*?[])\]")


class Attached:
    """Lets the copy of a run have the run's files, and tells which it may not have.

    Args:
        sweep_dir: What a file must lie in.
        target: Directory of the copy's files.
    """

    def __init__(self, sweep_dir: Path, target: Path) -> None:
        self._inside = sweep_dir
        self._target = target
        self._left_out: list[str] = []

    def take_left_out(self) -> list[str]:
        """Return what was left out since the last call, each as a line that says why."""
        lines, self._left_out = self._left_out, []
        return lines

    def admit(self, record: Any, files: Path) -> bool:
        """Prepare what a record names; return whether the record may go up.

        Args:
            record: Of a run's log; loses what names files outside of the run.
            files: Directory of the run's files.
        """
        match record.WhichOneof("record_type"):
            case "files":
                self._take_files(record.files, files)
            case "artifact":
                return self._has_all(record.artifact)
            case "tbrecord":
                return self._is_inside(Path(record.tbrecord.log_dir))
            case "request":
                return record.request.WhichOneof("request_type") not in ASKING
        return True

    def _take_files(self, record: Any, files: Path) -> None:
        kept = [item for item in record.files if self._is_below(item.path)]
        for item in kept:
            for source in self._sources(files, item.path):
                self._link(source, source.relative_to(files))
        if len(kept) < len(record.files):
            copies = [type(item).FromString(item.SerializeToString()) for item in kept]
            del record.files[:]
            record.files.extend(copies)

    def _is_below(self, pattern: str) -> bool:
        path = PurePath(pattern)
        if path.parts and not path.is_absolute() and ".." not in path.parts and "\0" not in pattern:
            return True
        self._leave_out(pattern, "is no file of the run")
        return False

    def _sources(self, files: Path, pattern: str) -> list[Path]:
        """The files that a name, an escaped name or a pattern means."""
        for name in (pattern, _ESCAPED.sub(r"\1", pattern)):
            if os.path.lexists(files / name):
                return [files / name]
        return list(self._matches(files, PurePath(pattern).parts)) if "*" in pattern or "?" in pattern else []

    def _matches(self, files: Path, pattern: tuple[str, ...]) -> Iterator[Path]:
        """As wandb finds them: no part of a pattern is more than one directory. No linked directory is entered."""
        if not self._is_inside(files):
            return
        for folder, _, names in os.walk(files):
            for name in names:
                parts = (Path(folder) / name).relative_to(files).parts
                if len(parts) == len(pattern) and all(map(fnmatch.fnmatchcase, parts, pattern)):
                    yield Path(folder) / name

    def _link(self, source: Path, name: Path) -> None:
        if str(name) in WRITTEN_BY_SYNC or (source.is_dir() and self._is_inside(source)):
            return
        if not self._may_go(source, str(name)):
            return
        target = self._target / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.symlink_to(source.resolve())

    def _has_all(self, artifact: Any) -> bool:
        """Whether all files of an artifact may go up; without one of them it would be another artifact."""
        manifest, name = artifact.manifest, f"artifact {artifact.name}"
        paths = [entry.local_path for entry in manifest.contents if entry.local_path]
        if manifest.manifest_file_path:
            try:
                paths.extend(_listed(Path(manifest.manifest_file_path), self._inside))
            except (OSError, ValueError, EOFError, zlib.error, RecursionError) as error:
                self._leave_out(
                    name, f"has a list of files that cannot be used: {getattr(error, 'strerror', None) or error}"
                )
                return False
        return all(self._may_go(Path(path), f"{name}, of which {path}") for path in paths)

    def _is_inside(self, directory: Path) -> bool:
        try:
            confined.check_directory(directory, self._inside)
        except (OSError, ValueError):
            return False
        return True

    def _may_go(self, path: Path, name: str) -> bool:
        try:
            confined.check(path, self._inside)
        except (OSError, ValueError) as error:
            self._leave_out(name, getattr(error, "strerror", None) or str(error))
            return False
        return True

    def _leave_out(self, name: str, why: str) -> None:
        self._left_out.append(
            f"{name} {why if why.startswith(('is ', 'leads ', 'has ')) else f'cannot be opened: {why}'}"
        )


def _listed(path: Path, inside: Path) -> Iterator[str]:
    """The files of an artifact that has too many for its record.

    Raises:
        OSError: The list cannot be opened, or lies outside.
        ValueError: It is no such list.
    """
    with confined.open_file(path, inside) as file, gzip.GzipFile(fileobj=file) as lines:
        for _ in range(MOST_LINES):
            line = lines.readline(MOST_LINE_BYTES)
            if not line:
                return
            entry = json.loads(line)
            if not isinstance(entry, dict):
                raise ValueError("a line is no entry")  # noqa: TRY004 - says what the file is
            # wandb's core, which reads it next, does not mind upper and lower case
            yield from (
                str(value) for key, value in entry.items() if key.lower() in {"local_path", "localpath"} and value
            )
    raise ValueError(f"more than {MOST_LINES:,} lines")
