"""What `sweep try` runs: a trial's config, and one trial in the foreground on a runner of its own, without Ray."""

import difflib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.cli.growing_log import Log
from orchestrator.errors import SweepError
from orchestrator.printable import clean
from orchestrator.spec.findings import Findings
from orchestrator.spec.overrides import setting_value
from orchestrator.spec.reader import KEYS
from orchestrator.spec.tree import parse
from orchestrator.trial.contract.events import Ended, Report, Reported, Started
from orchestrator.trial.contract.history import joined
from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.contract.watched import PREFIX as WATCHED
from orchestrator.trial.runner.runner import Runner

LOOK_S = 0.05
LONGEST_CONFIG = 10_000_000
"""Bytes of a config file; more is no config."""

Names = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A trial that was tried.

    Attributes:
        asked_s: Unix time at which it was asked for.
    """

    launch: Launch
    asked_s: float
    started: Started | None
    ended: Ended
    reports: Sequence[Report]

    @property
    def took_s(self) -> float:
        """Seconds from its process's start to its end."""
        return self.ended.time - (self.started.time if self.started else self.asked_s)

    @property
    def own_reports(self) -> list[Report]:
        """The reports of the program itself, and not of our sampling of its gradients."""
        return [report for report in self.reports if any(not name.startswith(WATCHED) for name in report.metrics)]

    @property
    def names(self) -> dict[str, int]:
        """How often each metric of the program was reported, in the order of their first time."""
        names = [name for report in self.own_reports for name in report.metrics if not name.startswith(WATCHED)]
        return dict(Counter(names))


def config_file(path: Path) -> dict[str, Any]:
    """Return the config of a file: a mapping of parameters, or W&B's param file with ``wandb_version`` and ``value:``.

    Raises:
        SweepError: It cannot be read, or is neither.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SweepError(f"--config {path}: {why}") from error
    findings = Findings(path=str(path))
    tree = parse(text, findings) if len(text) <= LONGEST_CONFIG else None
    data = None if tree is None or findings.sorted() else tree.plain()
    if not isinstance(data, dict):
        found = findings.sorted()
        why = found[0].message if found else "it is not a mapping of parameters"
        raise SweepError(f"--config {path}: {why}\n  A config is a mapping such as `lr: 0.1`, or best.yaml of a sweep.")
    if "wandb_version" not in data:
        return data
    del data["wandb_version"]
    bare = [name for name, entry in data.items() if not isinstance(entry, dict) or "value" not in entry]
    if bare:
        raise SweepError(
            f"--config {path}: {bare[0]} has no `value:`, which W&B's param files have for every parameter"
        )
    return {name: entry["value"] for name, entry in data.items()}


def split_settings(settings: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what of ``--set`` are keys of the spec, and what must be parameters."""
    keys = {key: text for key, text in settings.items() if key.partition(".")[0] in KEYS}
    return keys, {key: text for key, text in settings.items() if key not in keys}


def values_of(settings: Mapping[str, str], paths: Sequence[Names]) -> dict[Names, Any]:
    """Return values of parameters by path, from their texts by dotted name.

    Raises:
        SweepError: There is no such parameter.
    """
    parameters = {".".join(path): path for path in paths}
    for key in settings:
        if key not in parameters:
            near = difflib.get_close_matches(key, [*parameters, *KEYS], n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; its parameters are {', '.join(parameters)}"
            raise SweepError(clean(f"--set {key}: the spec has no such parameter, nor is it a key of specs{hint}"))
    return {parameters[key]: setting_value(key, text).plain() for key, text in settings.items()}


def with_values(config: Mapping[str, Any], values: Mapping[Names, Any]) -> dict[str, Any]:
    """Return a nested config with other values in it."""
    changed: dict[str, Any] = {name: with_values(v, {}) if isinstance(v, Mapping) else v for name, v in config.items()}
    for path, value in values.items():
        inner = changed
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = value
    return changed


def try_trial(runner: Runner, launch: Launch, interrupts: Callable[[], int], *, quiet: bool = False) -> Tried:
    """Run a trial to its end and show what it prints as it comes.

    Args:
        runner: Has no other trials.
        launch: The trial.
        interrupts: How often the user asked to stop: once, the trial is asked to end; twice, it is killed.
        quiet: Whether what it prints is left in its log.
    """
    asked_s = time.time()
    output = None if quiet else Log(launch.dir.log_path, inside=launch.dir.path)
    started: Started | None = None
    reports: list[Report] = []
    obeyed = 0
    runner.launch(launch)
    while True:
        if obeyed < min(2, interrupts()):
            obeyed += 1
            runner.stop(launch.trial, launch.attempt, kill=obeyed == 2)
        events = runner.poll(LOOK_S)
        if output is not None:
            output.print_more()
        for event in events:
            if isinstance(event, Started):
                started = event
            elif isinstance(event, Reported):
                reports += event.reports
            else:
                if output is not None:
                    output.close()
                return Tried(launch=launch, asked_s=asked_s, started=started, ended=event, reports=joined([reports]))
