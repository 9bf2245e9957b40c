"""What a submitted sweep needs on the head, as one file: the project's files, the spec, and the words of `sweep run`."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, BinaryIO

from orchestrator.errors import ProgramError
from orchestrator.project.listing import Project, files_of, git_state
from orchestrator.project.snapshot import Contents, pack

FORMAT = 1

MOST_HEAD = 64 << 20
"""Bytes of what is said of the files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A sweep to be run elsewhere.

    Attributes:
        project: What the project's directory is called.
        cwd: The working directory, relative to it.
        entries: Its files, as `Contents` has them.
        git: Its commit and diff; None outside of a repository.
        spec_name: The spec's file name.
        spec_text: What it says.
        words: Options of `sweep run`, behind the spec.
        version: Of the package that made it.
        prior: Earlier trials that the search learns from, as `prior_sources.keep` writes them.
        format: Of the parcel itself.
    """

    project: str
    cwd: str
    entries: Mapping[str, str]
    git: Mapping[str, str] | None
    spec_name: str
    spec_text: str
    words: Sequence[str]
    version: str
    prior: str = ""
    format: int = FORMAT

    @property
    def contents(self) -> Contents:
        """The project's files."""
        return Contents(entries=self.entries)


def packed(parcel: Parcel, project: Project) -> tuple[Parcel, bytes]:
    """Return a parcel that has the project's files, and its bytes.

    Args:
        parcel: Without files yet.
        project: Whose files go along.

    Raises:
        ProgramError: They are too large, or too many, or earlier trials are.
    """
    archive = io.BytesIO()
    contents = pack(project, files_of(project), archive)
    full = replace(parcel, entries=dict(contents.entries), git=git_state(project))
    head = json.dumps(asdict(full)).encode() + b"\n"
    if len(head) > MOST_HEAD:
        raise ProgramError(
            f"what goes along beside the files is {len(head) / 2**20:,.1f} MiB, and {MOST_HEAD / 2**20:,.0f} MiB is the most: "
            f"earlier trials {len(full.prior) / 2**20:,.1f} MiB, names of {len(full.entries):,} files, the spec, changes since "
            "git's last commit.\n  Give fewer earlier trials with --prior, name what trials do not need in .sweepignore, or "
            "commit large changes."
        )
    return full, head + archive.getvalue()


def opened(file: BinaryIO) -> tuple[Parcel, BinaryIO]:
    """Return what a parcel says, and the archive of the files, to be read from there on.

    Raises:
        ProgramError: It is none, or one of another release.
    """
    head = file.readline(MOST_HEAD)
    try:
        data: dict[str, Any] = json.loads(head)
        if data.get("format") != FORMAT:
            raise ProgramError(f"the parcel is one of another release ({data.get('version')!r}): {SAME}")
        parcel = Parcel(**data)
        texts = [parcel.project, parcel.cwd, parcel.spec_name, parcel.spec_text, parcel.prior, *parcel.words]
        texts += [*parcel.entries, *parcel.entries.values()]
        is_sound = all(isinstance(text, str) for text in texts)
    except (ValueError, TypeError, AttributeError):
        is_sound = False
    if not is_sound:
        raise ProgramError("what was sent is no parcel, or only half of one: submit it again")
    return parcel, io.BytesIO(file.read())


SAME = "the package has to be the same here and on the head"
