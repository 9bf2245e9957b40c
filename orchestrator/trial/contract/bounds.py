"""What a report may hold: names, steps, moments and values that every file, database and screen after it can carry.

Both sides use this: the writer's, which turns whatever a program hands to a logging API into a valid report, and the reader's,
which does the same with whatever stands in `reports.jsonl`, where a program may write as well. What does not fit is left out
or cut, and said in one sentence: a `Problem`. Pure, and nothing here raises.
"""

from __future__ import annotations

import json
import math
import operator
import reprlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

from orchestrator.layout import REPORTS
from orchestrator.trial.contract.scalars import flat_items, number_of, scalar

LONGEST_NAME = 1_000
"""Characters of a metric's name; a longer one is cut, and keeps a mark that tells it from others that begin alike."""

MOST_NAMES = 10_000
"""Metrics of one trial; what has other names is not reported."""

LARGEST_STEP = 2**63 - 1
"""What W&B, TensorBoard and SQLite can hold."""

LATEST_S = 253_402_300_799.0
"""The last second of the year 9999: no calendar goes further."""

LONGEST_TEXT = 4_000
"""Characters of an error or a reason."""

LONGEST_LINE = 1 << 25
"""Bytes of a line of `reports.jsonl`."""


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return type(value) is int and abs(value) <= LARGEST_STEP


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


MARKS: Mapping[str, Callable[[Any], bool]] = {
    "api": _is_text,
    "op": _is_text,
    "commit": _is_flag,
    "gone": _are_texts,
    "nulls": _are_texts,
    "removed": _are_texts,
    "nested": _are_texts,
    "mirrored": _is_flag,
    "synced": _is_flag,
    "start": _is_count,
    "file": _is_text,
    "path": _is_text,
    "name": _is_text,
    "by": _is_text,
    "summary": _are_texts,
    "overwrite": _is_flag,
    "code": _is_count,
    "process": _is_count,
    "leads": _is_flag,
    "tag": _is_text,
    "names": _are_texts,
    "taken": _is_flag,
    "place": _is_text,
}
"""What a line of `reports.jsonl` may say besides its metrics, and of which kind it must be."""

Problem = str
"""One sentence about something that was left out, for the trial's log."""


class Names:
    """The names of a trial's metrics: bounded each, and bounded in number.

    Args:
        always: Names that are never one too many: the sweep's own metrics.
    """

    def __init__(self, always: Collection[str] = ()) -> None:
        self._always = frozenset(always)
        self._known: set[str] = set()
        self._valid: set[str] = set()

    def admit(self, metrics: Mapping[str, float], problems: list[Problem]) -> Mapping[str, float]:
        """Return the metrics with valid names; say what does not fit."""
        if metrics.keys() <= self._valid:
            return metrics
        admitted = {}
        for given, value in metrics.items():
            name = valid_name(given)
            if name != given:
                problems.append(f"a metric's name cannot be kept as it is; it is {shown(name)}")
            if name not in self._known:
                if len(self._known) >= MOST_NAMES and name not in self._always:
                    problems.append(f"it has more than {MOST_NAMES} metrics; {shown(name)} and others are left out")
                    continue
                self._known.add(name)
            if name == given:
                self._valid.add(name)
            admitted[name] = value
        return admitted


def valid_name(name: str) -> str:
    """Return a metric's name, or the nearest that is Unicode, without NUL and not too long; equal names stay equal."""
    name = valid_text(name)
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 20]}...{_digest(name)}"


def valid_text(text: str, longest: int | None = None) -> str:
    """Return text that UTF-8 and C can carry: half a surrogate pair and NUL become escapes."""
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()
    text = text.replace("\0", "\\x00")
    return text if longest is None or len(text) <= longest else f"{text[: longest - 3]}..."


def valid_step(step: Any, problems: list[Problem]) -> int | None:
    """Return a step as a whole number of 64 bits, None where there is none; say so where one was given that cannot be."""
    if step is None:
        return None
    found = step if type(step) is int else _whole(step)
    if found is not None and -LARGEST_STEP <= found <= LARGEST_STEP:
        return found
    problems.append(f"a step is a whole number below 2**63, not {shown(step)}; it counts as none")
    return None


def step_after(step: int) -> int:
    """Return the step that follows another, as far as there is one."""
    return min(step + 1, LARGEST_STEP)


def scalars(data: Any, problems: list[Problem], number: Callable[[Any], float | None] = scalar) -> dict[str, float]:
    """Return the scalars of what a program logs as a row, by flat name; what is no number (media, text) is left out."""
    items, problem = flat_items(data)
    if problem is not None:
        problems.append(problem)
    return {name: found for name, value in items if (found := number(value)) is not None}


def numbers(data: Any, problems: list[Problem]) -> dict[str, float]:
    """Return the metrics of a row that is to hold nothing else, by flat name; say what is no number."""
    items, problem = flat_items(data)
    if problem is not None:
        problems.append(problem)
    found = [(name, value, number_of(value)) for name, value in items]
    for name, value in [(name, value) for name, value, number in found if number is None][:1]:
        problems.append(f"metric {shown(name)} is {shown(value)}, not a number")
    return {name: number for name, _, number in found if number is not None}


def as_object(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a line; None for whatever else it is."""
    try:
        found = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def as_metrics(given: Any, problems: list[Problem]) -> dict[str, float] | None:
    """Return the metrics of a line: numbers by name, what is no number left out; None for what is no mapping at all."""
    if not isinstance(given, dict):
        return None
    found = {name: number for name, value in given.items() if (number := _json_number(value)) is not None}
    if len(found) < len(given):
        name = next(name for name in given if name not in found)
        problems.append(f"metric {shown(name)} is {shown(given[name])} in {REPORTS}, not a number")
    return found


def as_moment(given: Any) -> float | None:
    """Return a Unix time in seconds; None for what is none."""
    number = _json_number(given)
    return number if number is not None and 0 <= number <= LATEST_S else None


def as_index(given: Any) -> int | None:
    """Return a count, such as an attempt's number; None for what is none."""
    return given if type(given) is int and 0 <= given <= LARGEST_STEP else None


def as_marks(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a line says besides its metrics, as far as it is of the kind that it must be."""
    return {name: value for name, kind in MARKS.items() if (value := line.get(name)) is not None and kind(value)}


def shown(value: Any, longest: int = 60) -> str:
    """Return a value as a sentence can name it, whatever it is."""
    try:
        is_huge = isinstance(value, int) and value.bit_length() > 200
        text = f"a number of {value.bit_length()} bits" if is_huge else reprlib.repr(value)
    except Exception:  # noqa: BLE001 - a program's own class; nesting without end
        text = f"a {type(value).__name__}"
    return one_line(text[:longest], longest)


def one_line(text: str, longest: int) -> str:
    """Return text as part of a sentence: what is not printable as escapes, what is too long cut."""
    return valid_text("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: longest + 1]), longest)


def _whole(step: Any) -> int | None:
    try:
        return operator.index(step)
    except Exception:  # noqa: BLE001 - a program's own class; most of the time a float
        number = scalar(step)
    return int(number) if number is not None and number.is_integer() else None


def _json_number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _digest(text: str) -> str:
    from hashlib import blake2b

    return blake2b(text.encode(), digest_size=8).hexdigest()
