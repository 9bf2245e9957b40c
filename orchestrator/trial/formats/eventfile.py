"""A trial's own TensorBoard event file: its hyperparameters from the first second, and scalars that came by other ways.

Written a record at a time, by the standard library alone: a program may have any TensorBoard, or none.
"""

from __future__ import annotations

import functools
import os
import secrets
import socket
import struct
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from orchestrator.layout import trial_name
from orchestrator.trial.contract.flat import flat
from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.contract.scalars import shortest
from orchestrator.trial.formats import protobuf
from orchestrator.trial.formats.records import AlikeRecords, record, records

HPARAM_TEXT = 200

N_TAGS = 1024
"""Tags whose beginning of a scalar is remembered."""

MOST_ALIKE = 16
"""Scalars of an event for whose tags a shape is kept when they come again."""

_TIME, _STEP = protobuf.double(1, 0.0)[:1], protobuf.whole(2, 0)[:1]
"""How the fields of an event begin."""

_Key = tuple[tuple[str, ...], int]

START = 1
"""How a session log says that a session starts."""

_EXPERIMENT, _BEGUN, _ENDED = (f"_hparams_/{what}" for what in ("experiment", "session_start_info", "session_end_info"))
"""The tags of what the HParams page is made of."""

SUCCESS, FAILURE = 1, 2
"""How a session's end says that it went well, or not."""

OWN = ".sweep"
"""How the names of the files end that are written here, and by no program."""

Domain = Union[Sequence[Any], tuple[float, float]]
"""A list of values, or a pair (min, max) of a range."""


PREFIX = "events.out.tfevents."
END_NAME = f"{PREFIX}9999999999{OWN}"
"""The file with a trial's end: TensorBoard reads a directory's files in the order of their names, and goes back to none."""

VALUES_NAME = f"{PREFIX}9999999999.values{OWN}"
"""The file with the values that stand for a trial; its name is the last of all."""

STANDING = "objective/"
"""What the tags of these values begin with: the program's own curve may end with another value."""


class EventFile:
    """One event file.

    Args:
        directory: Where it is made.
        name: Its name; None for one that no other file has.
    """

    def __init__(self, directory: Path, name: str | None = None) -> None:
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        name = name or f"{PREFIX}{seconds:010d}.{socket.gethostname()}.{os.getpid()}.{nanoseconds}{OWN}"
        self.path = directory / name
        self._last: _Key | None = None
        self._file = self.path.open("ab", buffering=0)
        self._write(protobuf.text(3, "brain.Event:2"))

    def hparams(self, config: Mapping[str, Any], trial: str) -> None:
        """Write the trial's hyperparameters: the HParams page then lists it, whatever it logs later."""
        entries = [
            protobuf.nested(1, protobuf.text(1, name), protobuf.nested(2, _hparam_field(value)))
            for name, value in flat_hparams(config).items()
        ]
        start = protobuf.nested(3, *entries, protobuf.text(4, trial), protobuf.double(5, time.time()))
        self._write(_summary(_hparams_value(_BEGUN, start)))

    def scalars(self, metrics: Mapping[str, float], step: int) -> None:
        """Write scalars of one step."""
        step_bytes = protobuf.varint(step)
        key = (tuple(metrics), len(step_bytes))
        is_again, self._last = key == self._last, key
        if is_again and 0 < len(metrics) <= MOST_ALIKE:
            try:
                self._file.write(_scalar_events(*key).record(step_bytes, metrics.values()))
            except OverflowError:  # a number that single precision cannot hold
                pass
            else:
                return
        values = [_before_number(name) + protobuf.four_bytes(value) for name, value in metrics.items()]
        self._write(protobuf.nested(5, *values), step=step)

    def summary(self, values: list[Any], step: int) -> None:
        """Write values of a summary of one step: TensorBoard's messages."""
        self._write(_summary(*(value.SerializeToString() for value in values)), step=step)

    def experiment(self, described: bytes) -> None:
        """Write what a sweep's hyperparameters and metrics are."""
        self._write(_summary(_hparams_value(_EXPERIMENT, described)))

    def take_back(self, names: Collection[str], step: int) -> None:
        """Void what was written of some tags from a step on, here and in earlier files of a trial.

        TensorBoard voids that of every tag when a session starts anew, so what the others have is written again.
        """
        files = sorted(file for file in self.path.parent.glob(f"{PREFIX}*{OWN}") if file.name <= self.path.name)
        void = [event for event in _shown(files) if event.step >= step]
        if not any(tag in names for event in void for tag, _ in event.values):
            return
        self._write(protobuf.nested(7, protobuf.whole(1, START)), step=step)
        for event in void:
            kept = [value for tag, value in event.values if tag not in names]
            self._file.write(record(event.rest + _summary(*kept)))

    def session_end(self, *, succeeded: bool) -> None:
        """Write how the trial ended."""
        end = protobuf.nested(4, protobuf.whole(1, SUCCESS if succeeded else FAILURE), protobuf.double(2, time.time()))
        self._write(_summary(_hparams_value(_ENDED, end)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, content: bytes, step: int = 0) -> None:
        self._file.write(record(protobuf.double(1, time.time()) + protobuf.whole(2, step) + content))


@dataclass(frozen=True)
class _Event:
    """An event of a file.

    Attributes:
        begins: Whether a session starts with it.
        values: The values of its summary, with their tags.
        rest: What is in it besides the summary.
    """

    step: int
    begins: bool
    values: tuple[tuple[str, bytes], ...]
    rest: bytes


def _summary(*values: bytes) -> bytes:
    """The field of an event that holds a summary of values."""
    return protobuf.nested(5, *(protobuf.nested(1, value) for value in values))


class _ScalarEvents:
    """Events with the same tags: a shape into which time, step and numbers go.

    Args:
        names: The tags.
        width: Bytes of the step.
    """

    def __init__(self, names: tuple[str, ...], width: int) -> None:
        before = [_before_number(name) for name in names]
        summary = protobuf.nested(5, *(part + bytes(4) for part in before))
        head = summary[: len(summary) - sum(len(part) + 4 for part in before)]
        self._parts = [head + before[0], *before[1:]]
        self._shape = struct.Struct(f"<sds{width}s" + "".join(f"{len(part)}sf" for part in self._parts))
        places, position = [*range(1, 9), *range(10, 10 + width)], 10 + width
        for part in self._parts:
            position += len(part) + 4
            places += range(position - 4, position)
        self._records = AlikeRecords(self._payload(0.0, bytes(width), [0.0] * len(names)), places)

    def record(self, step: bytes, numbers: Iterable[float]) -> bytes:
        """Return the record of an event of now; the step as a field has it."""
        return self._records.record(self._payload(time.time(), step, numbers))

    def _payload(self, time_s: float, step: bytes, numbers: Iterable[float]) -> bytes:
        values = [each for pair in zip(self._parts, numbers) for each in pair]
        return self._shape.pack(_TIME, time_s, _STEP, step, *values)


_scalar_events = functools.lru_cache(maxsize=64)(_ScalarEvents)


@functools.lru_cache(maxsize=N_TAGS)
def _before_number(tag: str) -> bytes:
    """The field of a summary that holds a scalar, up to its number, which ends it."""
    return protobuf.nested(1, protobuf.text(1, tag), protobuf.single(2, 0.0))[:-4]


def _hparams_value(tag: str, content: bytes) -> bytes:
    """A value of a summary that is the HParams plugin's."""
    plugin = protobuf.nested(1, protobuf.text(1, "hparams"), protobuf.nested(2, content))
    empty = protobuf.whole(1, 1) + protobuf.nested(
        2, protobuf.nested(2)
    )  # as the plugin's own: no numbers, a dimension of 0
    return protobuf.text(1, tag) + protobuf.nested(9, plugin) + protobuf.nested(8, empty)


def _hparam_field(value: bool | float | str) -> bytes:  # noqa: FBT001 - a hyperparameter may be one
    """A value of a hyperparameter as JSON values are in Protocol Buffers."""
    if isinstance(value, bool):
        return protobuf.whole(4, value)
    return protobuf.text(3, value) if isinstance(value, str) else protobuf.double(2, value)


def trial_file(directory: Path, attempt: int) -> EventFile:
    """Return a new event file of an attempt; its name comes before those of the writers that the program opens."""
    return EventFile(directory, f"{PREFIX}{attempt:010d}.{socket.gethostname()}.{os.getpid()}{OWN}")


def begin_session(launch: Launch) -> EventFile:
    """Write a trial's hyperparameters as it starts, and forget how an earlier attempt ended."""
    directory = Path(launch.trial_dir)
    (directory / END_NAME).unlink(missing_ok=True)
    file = trial_file(directory, launch.attempt)
    file.hparams(launch.config, f"{launch.sweep_id}/{trial_name(launch.trial)}")
    return file


def end_session(directory: Path, *, succeeded: bool) -> None:
    """Write how a trial ended: called by the process that saw the end, since a killed trial cannot."""
    if (directory / END_NAME).exists():
        return
    file = EventFile(directory, END_NAME)
    file.session_end(succeeded=succeeded)
    file.close()


def tell_values(directory: Path, values: Mapping[str, float], step: int) -> None:
    """Write the values of the objectives that stand for a trial that has ended, in place of those that were written before."""
    file = EventFile(directory, f".{secrets.token_hex(4)}.tmp")
    file.scalars({STANDING + name: value for name, value in values.items()}, step)
    file.close()
    file.path.replace(directory / VALUES_NAME)


def ended_well(directory: Path) -> bool | None:
    """Return whether a trial ended well, as `end_session` wrote; None where it did not, or nobody can tell."""
    try:
        ends = [value for event in _events([directory / END_NAME]) for tag, value in event.values if tag == _ENDED]
        contents = [c for value in ends for data in _in(value, 9) for plugin in _in(data, 1) for c in _in(plugin, 2)]
        found = [status for c in contents for end in _in(c, 4) for k, status, _ in protobuf.fields(end) if k == 1]
    except (OSError, ValueError):  # there is none, or it is damaged
        return None
    return found[0] == SUCCESS if found else None


@dataclass(frozen=True)
class Scalars:
    """The scalars of an event, by tag."""

    step: int
    time: float
    metrics: Mapping[str, float]


def scalars_in(payload: bytes) -> Scalars:
    """Return the scalars of an event, in any of the forms that writers use.

    Raises:
        ValueError: It is no event.
    """
    event = _event(payload)
    found = ((tag, scalar_in(value)) for tag, value in event.values)
    metrics = {tag: number for tag, number in found if number is not None}
    moment = next((value for number, value, _ in protobuf.fields(event.rest) if number == 1), None)
    time_s = struct.unpack("<d", moment)[0] if isinstance(moment, bytes) and len(moment) == 8 else 0.0
    return Scalars(step=event.step, time=time_s, metrics=metrics)


def event_scalar(value: Any) -> float | None:
    """Return the scalar of a summary value: TensorBoard's message; None for anything else."""
    if value.HasField("simple_value"):
        return shortest(value.simple_value)
    return scalar_in(value.SerializeToString()) if value.HasField("tensor") else None


def scalar_in(value: bytes) -> float | None:
    """Return the scalar of a summary value: a number of its own, or a tensor without dimensions; None for anything else."""
    found = list(protobuf.fields(value))
    simple = _inner(found, 2)
    if simple:
        return shortest(_numbers("f", simple)[0])
    plugins = [name for data in _inner(found, 9) for plugin in _in(data, 1) for name in _in(plugin, 1)]
    tensors = _inner(found, 8)
    if not tensors or plugins not in ([], [b""], [b"scalars"]):
        return None
    tensor = list(protobuf.fields(tensors[-1]))
    if any(_in(shape, 2) for shape in _inner(tensor, 2)):
        return None
    numbers = _numbers("f", _inner(tensor, 5)) or _numbers("d", _inner(tensor, 6))
    if not numbers and (1, _FLOAT32) in [(number, kind) for number, kind, _ in tensor]:
        numbers = _numbers("f", [content for content in _inner(tensor, 4) if len(content) == 4])
    return shortest(numbers[0]) if len(numbers) == 1 else None


_FLOAT32 = 1
"""TensorFlow's name for single precision."""


def _numbers(kind: str, packed: Sequence[bytes]) -> list[float]:
    """Numbers of 32 (``f``) or 64 bits (``d``), in one field or in several."""
    data = b"".join(packed)
    size = struct.calcsize(f"<{kind}")
    return [number for (number,) in struct.iter_unpack(f"<{kind}", data[: len(data) // size * size])]


def _in(message: bytes, number: int) -> list[bytes]:
    return _inner(protobuf.fields(message), number)


def tags_in(directory: Path) -> list[str]:
    """Return the tags that programs wrote into a directory, in the order of their files."""
    files = sorted(file for file in directory.glob(f"{PREFIX}*") if not file.name.endswith(OWN))
    return list({tag: None for event in _events(files) for tag, _ in event.values})


def _shown(files: Sequence[Path]) -> list[_Event]:
    """The summaries that TensorBoard shows of the files of a run."""
    shown: list[_Event] = []
    for event in _events(files):
        if event.begins:
            shown = [each for each in shown if each.step < event.step]
        elif event.values:
            shown.append(event)
    return shown


def _events(files: Sequence[Path]) -> Iterator[_Event]:
    """The events of files, as they were written; of a file that a kill cut off, those before the cut."""
    for file in files:
        yield from map(_event, records(file))


def _event(payload: bytes) -> _Event:
    found = list(protobuf.fields(payload))
    step = next((value for number, value, _ in found if number == 2 and isinstance(value, int)), 0)
    values = tuple(value for summary in _inner(found, 5) for value in _inner(protobuf.fields(summary), 1))
    sessions = [value for log in _inner(found, 7) for number, value, _ in protobuf.fields(log) if number == 1]
    rest = b"".join(raw for number, _, raw in found if number != 5)
    return _Event(
        step=step, begins=START in sessions, values=tuple((_tag(value), value) for value in values), rest=rest
    )


def _inner(fields: Iterable[tuple[int, protobuf.Raw, bytes]], number: int) -> list[bytes]:
    """The messages in the fields of a number."""
    return [value for known, value, _ in fields if known == number and isinstance(value, bytes)]


def _tag(value: bytes) -> str:
    return next(iter(_inner(protobuf.fields(value), 1)), b"").decode(errors="replace")


def flat_hparams(config: Mapping[str, Any]) -> dict[str, bool | float | str]:
    """Return a config as the HParams plugin takes it: flat names joined with '.', booleans, numbers and text, no None."""
    return {name: _hparam(value) for name, value in flat(config)}


def _hparam(value: Any) -> bool | float | str:
    if isinstance(value, bool):
        return value
    return float(value) if isinstance(value, (int, float)) else str(value)[:HPARAM_TEXT]


def write_experiment(directory: Path, hparams: Mapping[str, Domain], metrics: Mapping[str, str]) -> None:
    """Write a sweep's experiment summary: every hyperparameter with its domain, every metric.

    Args:
        directory: The sweep's directory.
        hparams: Domains by flat name.
        metrics: The metrics to show: what each tag is called.
    """
    described = [protobuf.nested(4, protobuf.text(1, name), _domain(domain)) for name, domain in hparams.items()]
    shown = [
        protobuf.nested(5, protobuf.nested(1, protobuf.text(2, tag)), protobuf.text(3, name))
        for tag, name in metrics.items()
    ]
    file = EventFile(directory)
    file.experiment(protobuf.nested(2, *described, *shown))
    file.close()


_TEXT, _BOOLEAN, _NUMBER = 1, 2, 3
"""The HParams plugin's types of hyperparameters."""


def _domain(domain: Domain) -> bytes:
    """The fields of a hyperparameter's description that hold its type and its domain."""
    if isinstance(domain, tuple):
        low, high = domain
        return protobuf.whole(4, _NUMBER) + protobuf.nested(6, protobuf.double(1, low), protobuf.double(2, high))
    if all(isinstance(v, bool) for v in domain):
        return _values(_BOOLEAN, sorted(domain))
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in domain):
        return _values(_NUMBER, sorted({float(v) for v in domain}))
    return _values(_TEXT, sorted({str(v)[:HPARAM_TEXT] for v in domain}))


def _values(kind: int, values: Sequence[bool | float | str]) -> bytes:
    listed = [protobuf.nested(1, _hparam_field(value)) for value in values]
    return protobuf.whole(4, kind) + protobuf.nested(5, *listed)
