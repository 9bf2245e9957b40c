"""Reads back what a trial leaves: its W&B run from the offline log, its TensorBoard run from the event files."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.trial.formats.wandb_log import WandbLog


@dataclass
class WandbRun:
    """A W&B run as its log tells it: what `wandb sync` would upload."""

    run_id: str = ""
    project: str = ""
    group: str = ""
    config: dict = field(default_factory=dict)
    history: list[dict] = field(default_factory=list)
    exit_code: int | None = None

    def values(self, name):
        return [row[name] for row in self.history if name in row]


def wandb_run(trial_dir: Path) -> WandbRun:
    """Return the one W&B run of a trial."""
    (path,) = trial_dir.glob("wandb/*run-*/run-*.wandb")
    return read_run(path)


def read_run(path: Path) -> WandbRun:
    """Return what one log of a W&B run tells."""
    run = WandbRun()
    for record in WandbLog(path).read():
        match record.WhichOneof("record_type"):
            case "run":
                run.run_id, run.project, run.group = record.run.run_id, record.run.project, record.run.run_group
                run.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            case "config":
                run.config |= {item.key: json.loads(item.value_json) for item in record.config.update if item.key}
            case "history":
                run.history.append(_nested(record.history.item))
            case "exit":
                run.exit_code = record.exit.exit_code
    return run


def _nested(items):
    row = {}
    for item in items:
        *path, last = item.nested_key or [item.key]
        place = row
        for name in path:
            place = place.setdefault(name, {})
        place[last] = json.loads(item.value_json)
    return row


@dataclass
class TensorBoardRun:
    """A TensorBoard run: scalars as (step, value), the hyperparameters, the kinds of other data."""

    scalars: dict[str, list[tuple[int, float]]]
    hparams: dict[str, object]
    tags: dict[str, object]


def tensorboard_run(trial_dir: Path) -> TensorBoardRun:
    """Return a trial's TensorBoard run, read as TensorBoard reads it, without what it used of its machine."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    events = EventAccumulator(str(trial_dir)).Reload()
    scalars = {
        tag: [(e.step, e.value) for e in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if not tag.startswith("system/")
    }
    hparams = {}
    for content in events.PluginTagToContent("hparams").values():
        data = plugin_data_pb2.HParamsPluginData.FromString(content)
        for name, value in data.session_start_info.hparams.items():
            hparams[name] = getattr(value, value.WhichOneof("kind"))
    return TensorBoardRun(scalars=scalars, hparams=hparams, tags=events.Tags())
