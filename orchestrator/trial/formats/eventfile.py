"""A trial's own TensorBoard event file: its hyperparameters from the first second, and scalars that came by other ways.

Written a record at a time, without TensorFlow, torch or a thread.
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Union

from orchestrator.layout import trial_name
from orchestrator.trial.contract.flat import flat
from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.contract.scalars import shortest

HPARAM_TEXT = 200

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
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        name = name or f"{PREFIX}{seconds:010d}.{socket.gethostname()}.{os.getpid()}.{nanoseconds}{OWN}"
        self.path = directory / name
        self._file = self.path.open("ab", buffering=0)
        self._writer = RecordWriter(self._file)
        self._event = Event
        self._write(file_version="brain.Event:2")

    def hparams(self, config: Mapping[str, Any], trial: str) -> None:
        """Write the trial's hyperparameters: the HParams page then lists it, whatever it logs later."""
        from tensorboard.plugins.hparams import summary_v2

        self._write(summary=summary_v2.hparams_pb(flat_hparams(config), trial_id=trial, start_time_secs=time.time()))

    def scalars(self, metrics: Mapping[str, float], step: int) -> None:
        """Write scalars of one step."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        self._write(step=step, summary=Summary(value=values))

    def summary(self, values: list[Any], step: int) -> None:
        """Write values of a summary of one step."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._write(step=step, summary=Summary(value=values))

    def take_back(self, names: Collection[str], step: int) -> None:
        """Void what was written of some tags from a step on, here and in earlier files of a trial.

        TensorBoard voids that of every tag when a session starts anew, so what the others have is written again.
        """
        from tensorboard.compat.proto.event_pb2 import SessionLog

        files = sorted(file for file in self.path.parent.glob(f"{PREFIX}*{OWN}") if file.name <= self.path.name)
        void = [event for event in _shown(files) if event.step >= step]
        if not any(value.tag in names for event in void for value in event.summary.value):
            return
        self._write(step=step, session_log=SessionLog(status=SessionLog.START))
        for event in void:
            kept = [value for value in event.summary.value if value.tag not in names]
            del event.summary.value[:]
            event.summary.value.extend(kept)
            self._writer.write(event.SerializeToString())

    def session_end(self, *, succeeded: bool) -> None:
        """Write how the trial ended."""
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

        status = api_pb2.STATUS_SUCCESS if succeeded else api_pb2.STATUS_FAILURE
        info = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
        content = plugin_data_pb2.HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, session_end_info=info)
        plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=content.SerializeToString())
        value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=SummaryMetadata(plugin_data=plugin))
        self._write(summary=Summary(value=[value]))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, **fields: Any) -> None:
        self._writer.write(self._event(wall_time=time.time(), **fields).SerializeToString())


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
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.plugins.hparams import api_pb2, metadata

    if not (directory / END_NAME).is_file():
        return None
    try:
        for event in EventFileLoader(str(directory / END_NAME)).Load():
            for value in event.summary.value:
                if value.tag == metadata.SESSION_END_INFO_TAG:
                    info = metadata.parse_session_end_info_plugin_data(value.metadata.plugin_data.content)
                    return bool(info.status == api_pb2.STATUS_SUCCESS)
    except Exception:  # noqa: BLE001 - a damaged file makes other people's readers raise anything
        return None
    return None


def event_scalar(value: Any) -> float | None:
    """Return the scalar of a summary value, in either of the two forms that writers use; None for anything else."""
    if value.HasField("simple_value"):
        return shortest(value.simple_value)
    if not value.HasField("tensor") or value.metadata.plugin_data.plugin_name not in {"scalars", ""}:
        return None
    tensor = value.tensor
    if tensor.tensor_shape.dim:
        return None
    numbers = list(tensor.float_val) or list(tensor.double_val)
    if not numbers and tensor.dtype == 1 and len(tensor.tensor_content) == 4:
        numbers = list(struct.unpack("<f", tensor.tensor_content))
    return shortest(numbers[0]) if len(numbers) == 1 else None


def tags_in(directory: Path) -> list[str]:
    """Return the tags that programs wrote into a directory, in the order of their files."""
    files = sorted(file for file in directory.glob(f"{PREFIX}*") if not file.name.endswith(OWN))
    return list({value.tag: None for event in _events(files) for value in event.summary.value})


def _shown(files: Sequence[Path]) -> list[Any]:
    """The summaries that TensorBoard shows of the files of a run."""
    shown: list[Any] = []
    for event in _events(files):
        if event.session_log.status == event.session_log.START:
            shown = [each for each in shown if each.step < event.step]
        elif event.summary.value:
            shown.append(event)
    return shown


def _events(files: Sequence[Path]) -> Iterator[Any]:
    """The events of files, as they were written; of a file that a kill cut off, those before the cut."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    for file in files:
        yield from map(Event.FromString, RawEventFileLoader(str(file)).Load())


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
    from tensorboard.plugins.hparams import summary_v2

    file = EventFile(directory)
    described = [summary_v2.HParam(name, _domain(domain)) for name, domain in hparams.items()]
    shown = [summary_v2.Metric(tag, display_name=name) for tag, name in metrics.items()]
    file._write(summary=summary_v2.hparams_config_pb(hparams=described, metrics=shown))  # noqa: SLF001 - our own
    file.close()


def _domain(domain: Domain) -> Any:
    from tensorboard.plugins.hparams import summary_v2

    if isinstance(domain, tuple):
        return summary_v2.RealInterval(float(domain[0]), float(domain[1]))
    if all(isinstance(v, bool) for v in domain):
        return summary_v2.Discrete(list(domain))
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in domain):
        return summary_v2.Discrete(sorted({float(v) for v in domain}))
    return summary_v2.Discrete(sorted({str(v)[:HPARAM_TEXT] for v in domain}))
