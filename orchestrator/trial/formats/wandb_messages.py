"""The records of a `.wandb` log that matter to a trial, written and read by the standard library: for nodes without wandb.

The numbers are those of wandb's ``wandb_internal.proto``, which only adds to them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.trial.formats.protobuf import Raw, fields, nested, text, whole

HISTORY, SUMMARY, RUN, EXIT, HEADER, PREEMPTING = 2, 3, 17, 18, 21, 23
"""Fields of a record, one of which says what it is."""

KINDS = {HISTORY: "history", SUMMARY: "summary", EXIT: "exit", PREEMPTING: "preempting"}


@dataclass(frozen=True)
class Entry:
    """What a record says.

    Attributes:
        kind: ``history``, ``summary``, ``exit``, ``preempting``; empty for another.
        values: By dotted name: a row's, or what the summary gets.
        removed: Names that the summary loses.
        code: The run's exit code.
    """

    kind: str
    values: Mapping[str, Any] = field(default_factory=dict)
    removed: Sequence[str] = ()
    code: int = 0


def entry_of(record: bytes) -> Entry:
    """Return what a record says.

    Raises:
        ValueError: It is no record.
    """
    kind, content = next(((n, value) for n, value, _ in fields(record) if n in KINDS), (0, b""))
    inner = list(fields(content)) if isinstance(content, bytes) else []
    if kind in {HISTORY, SUMMARY}:
        removed = tuple(_item(value)[0] for n, value, _ in inner if n == 2 and kind == SUMMARY)
        values = dict(_item(value) for n, value, _ in inner if n == 1)
        return Entry(kind=KINDS[kind], values=values, removed=removed)
    code = next((value for n, value, _ in inner if n == 1 and isinstance(value, int)), 0)
    return Entry(kind=KINDS.get(kind, ""), code=code)


def header(producer: str) -> bytes:
    """Return the record that says who writes the log, as wandb 0.31 reads it."""
    return nested(HEADER, nested(1, text(1, producer), text(2, "0.40.0")))


def run(about: Mapping[str, str], tags: Sequence[str], config: Mapping[str, Any], began_s: float) -> bytes:
    """Return the record of a run.

    Args:
        about: What is known of it, by the names in `_ABOUT`.
        tags: Its tags.
        config: Its config.
        began_s: Unix time of its start.
    """
    seconds, nanoseconds = divmod(int(began_s * 1e9), 10**9)
    said = [text(_ABOUT[name], value) for name, value in about.items() if value]
    settings = [nested(1, text(1, name), text(16, json.dumps(value))) for name, value in config.items()]
    began = nested(17, whole(1, seconds), whole(2, nanoseconds))
    return nested(RUN, *said, *(text(10, tag) for tag in tags), nested(4, *settings), began)


_ABOUT = {"run_id": 1, "entity": 2, "project": 3, "run_group": 6, "display_name": 8, "sweep_id": 12}


def history(row: Mapping[str, Any], step: int) -> bytes:
    """Return the record of a row."""
    return nested(HISTORY, *_items(row), nested(2, whole(1, step)))


def summary(values: Mapping[str, Any]) -> bytes:
    """Return the record of a summary."""
    return nested(SUMMARY, *_items(values))


def exit_code(code: int) -> bytes:
    """Return the record that ends a run."""
    return nested(EXIT, whole(1, code))


def _items(values: Mapping[str, Any]) -> Iterator[bytes]:
    for name, value in values.items():
        yield nested(1, text(2, name), text(16, json.dumps(value)))


def _item(data: Raw) -> tuple[str, Any]:
    """The name and the value of an item; the name is a key or a path."""
    found = list(fields(data)) if isinstance(data, bytes) else []
    path = [_text(value) for n, value, _ in found if n == 2]
    key = next((_text(value) for n, value, _ in found if n == 1), "")
    told = next((_text(value) for n, value, _ in found if n == 16), "")
    return ".".join(path) or key, json.loads(told) if told else None


def _text(value: Raw) -> str:
    if not isinstance(value, bytes):
        raise ValueError("a text is a number")  # noqa: TRY004 - what a damaged file says is a value
    return value.decode()
