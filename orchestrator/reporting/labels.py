"""What people say of a sweep and its trials, tags and a note each: in a file of its own, which no controller writes."""

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from orchestrator import confined
from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir

MOST_BYTES = 16 << 20
LONGEST_NOTE = 2000
TAG = re.compile(r"[\w][\w.:+-]{0,39}")
"""A tag is one word, so that filters and lists can name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Tags in alphabetical order, and a note."""

    tags: tuple[str, ...] = ()
    note: str | None = None

    def __bool__(self) -> bool:
        return bool(self.tags or self.note)

    @property
    def words(self) -> str:
        """Both in one line: ``#good #slow: the one to keep``; empty when there is nothing.

        A note alone that begins as tags do, or with the mark itself, has a colon before it: ``: #1 of my list``.
        """
        tags, note = " ".join(f"#{tag}" for tag in self.tags), self.note or ""
        is_marked = not tags and note.startswith(("#", ":"))
        return f": {note}" if is_marked else ": ".join(part for part in (tags, note) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepLabels:
    """Of the sweep itself, and of those of its trials that have any, by number."""

    sweep: Labels = Labels()
    trials: Mapping[int, Labels] = field(default_factory=dict)

    def of(self, trial: int) -> Labels:
        """Return a trial's."""
        return self.trials.get(trial, Labels())


def read_labels(sweep_dir: SweepDir) -> SweepLabels:
    """Return what people said of a sweep; nothing where the file is none of ours."""
    try:
        return _read(sweep_dir)
    except (OSError, ValueError, AttributeError, TypeError):
        return SweepLabels()


def labels_stamp(sweep_dir: SweepDir) -> int | None:
    """Return when somebody last said something of a sweep or its trials, in nanoseconds; None where nobody has."""
    with suppress(OSError):
        return os.stat(sweep_dir.labels_path).st_mtime_ns  # noqa: PTH116 - one call, no second look
    return None


def _read(sweep_dir: SweepDir) -> SweepLabels:
    found = confined.read_json(sweep_dir.labels_path, sweep_dir.path, most=MOST_BYTES)
    trials = {int(number): _labels(each) for number, each in found.get("trials", {}).items()}
    return SweepLabels(sweep=_labels(found), trials=trials)


def tag(sweep_dir: SweepDir, trials: Sequence[int], tags: Sequence[str], *, remove: bool = False) -> None:
    """Add tags to trials, or to the sweep where none is named; or take them away.

    Raises:
        SweepError: One is no word.
    """
    _check_tags(tags)

    def changed(labels: Labels) -> Labels:
        kept = set(labels.tags) - set(tags) if remove else set(labels.tags) | set(tags)
        return Labels(tags=tuple(sorted(kept)), note=labels.note)

    _change(sweep_dir, trials, changed)


def note(sweep_dir: SweepDir, trials: Sequence[int], text: str) -> None:
    """Give trials, or the sweep where none is named, a note in place of the one before; an empty one takes it away.

    Raises:
        SweepError: It is too long, or no text.
    """
    text = " ".join(text.split())
    _check_note(text)
    _change(sweep_dir, trials, lambda labels: Labels(tags=labels.tags, note=text or None))


def say(sweep_dir: SweepDir, trial: int | None, words: str) -> None:
    """Give a trial, or the sweep, tags and a note in place of those before, as `Labels.words` has them.

    Raises:
        SweepError: A tag is no word, or the note is too long, or no text.
    """
    tags, text = said(words)
    _check_tags(tags)
    _check_note(text)
    labels = Labels(tags=tuple(sorted(set(tags))), note=text or None)
    _change(sweep_dir, [] if trial is None else [trial], lambda _: labels)


def said(words: str) -> tuple[list[str], str]:
    """Return the tags that a line begins with (``#good #slow: the one to keep``), and the note behind them, or behind ``:``."""
    tags: list[str] = []
    rest = words.split()
    if rest[:1] == [":"]:
        return [], " ".join(rest[1:])
    while rest and rest[0].startswith("#") and rest[0] != "#":
        tags.append(rest.pop(0)[1:])
        if tags[-1].endswith(":"):
            tags[-1] = tags[-1][:-1]
            break
    return tags, " ".join(rest)


def _check_tags(tags: Sequence[str]) -> None:
    wrong = next((each for each in tags if not TAG.fullmatch(each)), None)
    if wrong is not None:
        raise SweepError(f"{wrong!r} is no tag.\n  A tag is one word of at most 40 letters, digits and . : + - _")


def _check_note(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SweepError(f"a note is text; {text[error.start]!r} is no character") from error
    if len(text) > LONGEST_NOTE:
        raise SweepError(f"a note has at most {LONGEST_NOTE} characters; this one has {len(text)}")


def _change(sweep_dir: SweepDir, trials: Sequence[int], changed: Any) -> None:
    with _alone(sweep_dir):
        found = _kept(sweep_dir)
        own = found.sweep if trials else changed(found.sweep)
        of_trials = {**found.trials, **{number: changed(found.of(number)) for number in trials}}
        data = {**_data(own), "trials": {str(n): _data(each) for n, each in sorted(of_trials.items()) if each}}
        text = (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()
        if len(text) > MOST_BYTES:
            raise SweepError(
                f"{sweep_dir.labels_path} would hold {len(text):,} bytes of tags and notes; at most {MOST_BYTES:,} are read: "
                "nothing was written.\n  Shorten notes, or tag fewer trials."
            )
        confined.replace(sweep_dir.labels_path, text)


def _kept(sweep_dir: SweepDir) -> SweepLabels:
    """What is to be changed.

    Raises:
        SweepError: There is a file that says nothing we can read: it would be lost.
    """
    try:
        return _read(sweep_dir)
    except FileNotFoundError:
        return SweepLabels()
    except (OSError, ValueError, AttributeError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no list of tags and notes"
        raise SweepError(
            f"{sweep_dir.labels_path} cannot be read, so nothing was written: {why}.\n  Mend it, or move it away."
        ) from error


@contextmanager
def _alone(sweep_dir: SweepDir) -> Iterator[None]:
    """One after the other: what two terminals say at the same time is both kept."""
    directory = os.open(sweep_dir.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _labels(data: Any) -> Labels:
    tags = tuple(str(each) for each in data.get("tags", ()) if TAG.fullmatch(str(each)))
    text = data.get("note")
    return Labels(tags=tags, note=str(text)[:LONGEST_NOTE] if text else None)


def _data(labels: Labels) -> dict[str, Any]:
    tags = {"tags": list(labels.tags)} if labels.tags else {}
    return tags | ({"note": labels.note} if labels.note else {})
