"""A trial as its page follows it: every metric beside the best trial's, what differs from that, its log, its files."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.control.steering import refusal
from orchestrator.diagnosis.cases import flags_of
from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir
from orchestrator.ledger.lock import holder
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import AttemptRecord, TrialRecord
from orchestrator.ledger.requests import Action
from orchestrator.printable import clean
from orchestrator.reporting.labels import labels_stamp, read_labels
from orchestrator.reporting.page.payload import flags_data
from orchestrator.reporting.recipe import command
from orchestrator.reporting.results import Results, finite
from orchestrator.reporting.use_text import used
from orchestrator.reporting.wording import short
from orchestrator.serve.files import files_of
from orchestrator.serve.log_tail import LogTail
from orchestrator.serve.metrics import charts, lines_of, use_charts
from orchestrator.serve.topic import Paced, Topic
from orchestrator.spec import load_recorded
from orchestrator.trial.contract.flat import flat
from orchestrator.trial.contract.resource_use import looks

FILES_EVERY_S = 5.0
USE_EVERY_S = 5.0
LONGEST_VALUE = 300
"""Characters of a parameter's value."""


class TrialTopic(Topic):
    """One trial of a sweep."""

    def __init__(self, sweep_dir: SweepDir, number: int) -> None:
        super().__init__()
        self._sweep_dir = sweep_dir
        self._number = number
        self._reader: LedgerReader | None = None
        self._version = -1
        self._who: str | None = None
        self._labels_stamp: int | None = None
        self._files_pace = Paced(every_s=FILES_EVERY_S, share=0.01)
        self._files: Mapping[str, Any] = {}
        self._use_pace = Paced(every_s=USE_EVERY_S, share=0.01)
        self._use: Mapping[str, Any] = {"said": "", "charts": []}
        self._data: Mapping[str, Any] = {}
        place = sweep_dir.trial(number)
        self._log = LogTail(place.log_path, sweep_dir.path)

    def close(self) -> None:
        """Let go of the ledger."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _load(self) -> None:
        self._reader = LedgerReader(self._sweep_dir.ledger_path, whole=False)
        self._version = self._reader.version()
        self._who = holder(self._sweep_dir.lock_path)
        self._labels_stamp = labels_stamp(self._sweep_dir)
        self._data = self._read(self._reader)
        self._log.look()
        self._take_files()
        self._take_use()

    def _look(self) -> Mapping[str, Any] | None:
        assert self._reader is not None
        if self._reader.was_replaced():
            self.close()
            self._load()
            return {}
        changes: dict[str, Any] = {}
        version, who, stamp = self._reader.version(), holder(self._sweep_dir.lock_path), labels_stamp(self._sweep_dir)
        if (version, who, stamp) != (self._version, self._who, self._labels_stamp):
            self._version, self._who, self._labels_stamp = version, who, stamp
            before, self._data = self._data, self._read(self._reader)
            changes |= {key: value for key, value in self._data.items() if before.get(key) != value}
        if self._log.look():
            changes["log"] = self._log_data()
        if self._take_files():
            changes["files"] = self._files
        if self._take_use():
            changes["use"] = self._use
        return {**changes, "now": time.time()} if changes else None

    def _state(self) -> Mapping[str, Any]:
        return {**self._data, "log": self._log_data(), "files": self._files, "use": self._use, "now": time.time()}

    def _log_data(self) -> dict[str, Any]:
        return {"text": self._log.text.replace("\r", ""), "left_out": self._log.left_out}

    def _take_files(self) -> bool:
        if not self._files_pace.is_due():
            return False
        began_s = time.thread_time()
        before = self._files
        self._files = files_of(self._sweep_dir.trial(self._number).path, self._sweep_dir.path)
        self._files_pace.took(time.thread_time() - began_s)
        return before != self._files

    def _take_use(self) -> bool:
        if not self._use_pace.is_due():
            return False
        began_s = time.thread_time()
        before, seen = self._use, looks(self._sweep_dir.trial(self._number))
        if seen:
            self._use = {"said": f"It used {used(seen[-1].so_far)}.", "charts": use_charts(seen)}
        self._use_pace.took(time.thread_time() - began_s)
        return before != self._use

    def _read(self, reader: LedgerReader) -> dict[str, Any]:
        with reader.snapshot():
            record, trial = reader.sweep(), reader.trial(self._number)
            if trial is None:
                raise SweepError(f"sweep {self._sweep_dir.sweep_id} has no trial {self._number}")
            spec = load_recorded(record.spec_text)
            leaders = reader.best(2)
            other = next((each for each in leaders if each.number != trial.number), None)
            lines = [lines_of(reader, each.number) for each in (trial, other) if each is not None]
            flags = flags_of(reader, spec, among=[trial])
            attempts, decisions = reader.attempts(trial.number), reader.decisions(trial.number)
        results = Results(
            sweep_dir=self._sweep_dir, record=record, spec=spec, trials=(trial,), labels=read_labels(self._sweep_dir)
        )
        is_best = bool(leaders) and leaders[0].number == trial.number
        return {
            "sweep": {"id": record.sweep_id, "name": clean(record.name), "state": str(record.standing(self._who))},
            "trial": self._trial(results, trial, is_best=is_best),
            "other": None if other is None else other.number,
            "config": differences(trial.config, {} if other is None else other.config),
            "flags": flags_data(flags).get(trial.number, []),
            "attempts": [_attempt(each) for each in attempts],
            "decisions": [[each.time, clean(each.what), clean(each.reason or "")] for each in decisions],
            "charts": charts(lines, [clean(each.name) for each in spec.objectives]),
            "commands": self._commands(results, trial),
        }

    def _trial(self, results: Results, trial: TrialRecord, *, is_best: bool) -> dict[str, Any]:
        values = results.values(trial) or {}
        place = self._sweep_dir.trial(trial.number)
        return {
            "number": trial.number,
            "state": str(trial.state),
            "values": [[clean(name), finite(value)] for name, value in values.items()],
            "best": is_best,
            "reached": trial.reached_at() if trial.value is not None else "",
            "why": clean(results.why(trial) or ""),
            "words": clean(results.labels.of(trial.number).words),
            "rows": trial.n_reports,
            "began": trial.started,
            "ended": trial.ended,
            "where": clean(" ".join([trial.host or "", *(f"GPU {gpu}" for gpu in trial.gpu_ids)]).strip()),
            "directory": clean(str(place.path)),
            "may": [str(each) for each in (Action.STOP, Action.CANCEL, Action.RETRY) if refusal(each, trial) is None],
        }

    def _commands(self, results: Results, trial: TrialRecord) -> list[list[str]]:
        sweep_id, number = results.record.sweep_id, trial.number
        again = command(results, trial)
        return [
            [f"sweep show {sweep_id} {number}", "everything about it"],
            [f"sweep logs -f {sweep_id} {number}", "its log, from the beginning"],
            [f"sweep board {sweep_id}", "TensorBoard on this sweep, with all that its trials logged"],
            *([[again, "runs it once more"]] if again else []),
        ]


def differences(mine: Mapping[str, Any], other: Mapping[str, Any]) -> list[list[str | None]]:
    """Return (name, value, the other's value) by name; None for what one of them does not have."""
    here, there = dict(flat(mine)), dict(flat(other))
    return [[clean(name), _value(name, here), _value(name, there)] for name in dict.fromkeys([*here, *there])]


def _value(name: str, config: Mapping[str, Any]) -> str | None:
    return short(config[name])[:LONGEST_VALUE] if name in config else None


def _attempt(attempt: AttemptRecord) -> dict[str, Any]:
    return {
        "attempt": attempt.attempt,
        "started": attempt.started,
        "ended": attempt.ended,
        "host": clean(attempt.host or ""),
        "gpus": [clean(each) for each in attempt.gpu_ids],
        "pid": attempt.pid,
        "cause": attempt.cause.words if attempt.cause else "",
        "said": clean(attempt.error or ""),
        "exit": _exit(attempt),
    }


def _exit(attempt: AttemptRecord) -> str:
    if attempt.signal is not None:
        return f"signal {attempt.signal}"
    return "" if attempt.exit_code is None else f"exit code {attempt.exit_code}"


def named(trials: Sequence[str]) -> list[tuple[str, int]]:
    """Return the sweeps' ids and the numbers that words such as ``k3x9w2ab/7`` name, each once.

    Raises:
        SweepError: One is no such word.
    """
    found: dict[tuple[str, int], None] = {}
    for word in trials:
        sweep_id, _, number = word.rpartition("/")
        if not sweep_id or not number.isdecimal() or len(number) > 8:
            raise SweepError(f"{word!r:.60} is no trial; name it as SWEEP/7")
        found[sweep_id, int(number)] = None
    return list(found)
