"""Proves from what a sweep left on disk that no fault cost it anything: its ledger against its trials' own records.

It shares no query with the product: it reads the tables and the trials' files itself.
"""

import json
import math
import os
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from orchestrator.search.factory import make_search
from orchestrator.search.protocol import Pending
from orchestrator.space import SearchSpace
from orchestrator.spec import load_text
from orchestrator.spec.model import Goal, Method

ENDED = {"finished", "stopped", "failed", "canceled"}
OPEN = {"pending", "running"}
LOST = {"worker_lost", "node_lost", "preempted"}


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What must have become of a sweep.

    Attributes:
        n_trials: How many trials it has in the end; None when that is not known.
        over: Whether it is over; else it was interrupted, and trials may be waiting or running.
        may_fail: Trials whose program fails by itself.
        best: The config that the command printed as the best; None when it printed none.
        ships: Whether files come from nodes, where the last of a lost attempt stay: reports arrive before their lines do.
    """

    n_trials: int | None = None
    over: bool = True
    may_fail: frozenset[int] = frozenset()
    best: dict | None = None
    ships: bool = False


@dataclass
class Trial:
    """A trial as the ledger has it, and what it left itself: reports and ends by attempt."""

    row: dict
    attempts: list[dict]
    scores: list[dict]
    metrics: list[dict]
    begun: set[int] = field(default_factory=set)
    ends: dict[int, dict] = field(default_factory=dict)
    reports: dict[int, list[dict]] = field(default_factory=dict)
    cut_off: set[int] = field(default_factory=set)

    @property
    def succeeded(self):
        """Attempts that came to a good end, by their own record."""
        return [attempt for attempt, end in sorted(self.ends.items()) if end.get("exit_code") == 0]


def check(sweep_dir: Path, **expected):
    """Fail with every violation that there is."""
    found = violations(sweep_dir, Expected(**expected))
    assert not found, f"{sweep_dir}:\n  " + "\n  ".join(found)


def violations(sweep_dir: Path, expected: Expected = Expected()) -> list[str]:
    """Return what is wrong with a sweep, one line each."""
    connection = sqlite3.connect(sweep_dir / "ledger.sqlite")
    connection.row_factory = sqlite3.Row
    try:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        if verdict != "ok":
            return [f"the database is corrupt: {verdict}"]
        (sweep,) = _rows(connection, "SELECT * FROM sweep")
        trials = _trials(connection, sweep_dir)
    finally:
        connection.close()
    spec = load_text(sweep["spec_text"], needs_program=False).require()
    found = [*_none_lost(trials, sweep_dir, expected), *_configs(spec, sweep["seed"], trials, expected)]
    for trial in trials.values():
        if expected.ships:
            trial.cut_off = {each["attempt"] for each in trial.attempts if each["cause"] in LOST}
        about = [*_state(trial, expected), *_attempts(trial), *_success(trial, expected), *_reports(trial, spec)]
        found += [f"trial {trial.row['number']}: {line}" for line in about]
    return [*found, *_orders(trials), *_best(spec, trials, expected), *left_processes(f"SWEEP_ID={sweep['sweep_id']}")]


def _rows(connection, query, *values):
    return [dict(row) for row in connection.execute(query, values)]


def _trials(connection, sweep_dir):
    trials = {}
    for row in _rows(connection, "SELECT * FROM trials ORDER BY number"):
        number = row["number"]
        trial = Trial(
            row=row,
            attempts=_rows(connection, "SELECT * FROM attempts WHERE trial = ? ORDER BY attempt", number),
            scores=_rows(connection, "SELECT * FROM scores WHERE trial = ? ORDER BY objective, position", number),
            metrics=_rows(connection, "SELECT * FROM metrics WHERE trial = ?", number),
        )
        trials[number] = trial
        _read_files(trial, sweep_dir / "trials" / f"{number:04d}")
    return trials


def _read_files(trial, directory):
    for path in directory.glob(".attempt-*"):
        trial.begun.add(int(path.name.removeprefix(".attempt-")))
    for path in directory.glob(".end-*.json"):
        trial.ends[int(path.name.removeprefix(".end-").removesuffix(".json"))] = json.loads(path.read_text())
    file = directory / "reports.jsonl"
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            report = json.loads(line)
        except ValueError:
            continue  # torn by a kill
        if "op" not in report and report.get("api") not in {"file", "watch"}:  # those are no rows
            trial.reports.setdefault(report["attempt"], []).append(report)


def _none_lost(trials, sweep_dir, expected):
    if sorted(trials) != list(range(len(trials))):
        yield f"the trials' numbers have gaps: {sorted(trials)}"
    if expected.n_trials is not None and expected.over and len(trials) != expected.n_trials:
        yield f"there are {len(trials)} trials, not {expected.n_trials}"
    if expected.n_trials is not None and len(trials) > expected.n_trials:
        yield f"there are {len(trials)} trials, more than {expected.n_trials}"
    for directory in sorted((sweep_dir / "trials").iterdir()):
        if int(directory.name) not in trials:
            yield f"{directory} is of a trial that the ledger does not know"


def _state(trial, expected):
    state, number = trial.row["state"], trial.row["number"]
    if state not in ENDED | OPEN:
        yield f"state {state!r} does not exist"
    if expected.over and state not in ENDED:
        yield f"is {state}, but the sweep is over ({trial.row['cause']}: {trial.row['error']}; {trial.row['reason']})"
    if state == "failed" and number not in expected.may_fail:
        yield f"failed ({trial.row['cause']}: {trial.row['error']}; {trial.row['reason']})"
    if (state in ENDED) != (trial.row["ended_order"] is not None):
        yield f"is {state}, but its place in the order of ends is {trial.row['ended_order']}"


def _attempts(trial):
    state = trial.row["state"]
    numbers = [attempt["attempt"] for attempt in trial.attempts]
    if numbers != list(range(trial.row["attempt"] + 1)):
        yield f"its attempts are {numbers}, its current one is {trial.row['attempt']}"
    if not trial.begun | set(trial.ends) | set(trial.reports) <= set(numbers):
        yield f"attempts left files that the ledger does not know: {sorted(trial.begun)}, ledger {numbers}"
    if state == "running" and trial.attempts and trial.attempts[-1]["cause"] is not None:
        yield "is running, but its attempt has ended"
    if state in {"finished", "stopped", "failed"} and (not trial.attempts or trial.attempts[-1]["cause"] is None):
        yield f"is {state}, but its last attempt has no end"
    if (
        state in {"finished", "stopped", "failed"}
        and trial.attempts
        and trial.row["cause"] != trial.attempts[-1]["cause"]
    ):
        yield f"its cause is {trial.row['cause']}, its last attempt's {trial.attempts[-1]['cause']}"


def _success(trial, expected):
    state = trial.row["state"]
    finished = [attempt["attempt"] for attempt in trial.attempts if attempt["cause"] == "finished"]
    if len(trial.succeeded) > 1 or len(finished) > 1:
        yield f"ran to success twice: attempts {trial.succeeded}, in the ledger {finished}"
    if state == "finished" and finished != [trial.row["attempt"]]:
        yield f"is finished, but its finished attempts are {finished} of {trial.row['attempt']}"
    if state == "finished" and trial.succeeded != finished:
        yield f"is finished, but the attempts that succeeded by their own record are {trial.succeeded}"
    if state != "finished" and finished:
        yield f"is {state}, but its attempt {finished} finished"
    if state in ENDED and state != "finished" and trial.row["cause"] != "no_metric" and trial.succeeded:
        yield f"is {state}, but its attempt {trial.succeeded} succeeded by its own record"
    if state == "pending" and expected.over is False and trial.succeeded:
        yield f"waits to run again, but its attempt {trial.succeeded} succeeded"


def _orders(trials):
    orders = Counter(t.row["ended_order"] for t in trials.values() if t.row["ended_order"] is not None)
    if any(n > 1 for n in orders.values()):
        yield f"two trials share a place in the order of ends: {orders}"


def _reports(trial, spec):
    last = trial.row["attempt"]
    on_disk = trial.reports.get(last, [])
    n_told = trial.row["n_reports"]
    if n_told > len(on_disk) and last not in trial.cut_off:
        yield f"the ledger has {n_told} reports of attempt {last}, reports.jsonl {len(on_disk)}"
    if _told_all(trial) and n_told < len(on_disk):
        yield f"has ended with {n_told} of {len(on_disk)} reports in the ledger"
    for index, objective in enumerate(spec.objectives):
        yield from _scores(trial, index, objective.name)
    for row in trial.metrics:
        steps = {row["step"], None}  # W&B counts the steps of a run whose program gives none
        near = [r for r in trial.reports.get(row["attempt"], []) if r["step"] in steps and row["name"] in r["m"]]
        if row["attempt"] not in trial.cut_off and not any(_same(r["m"][row["name"]], row["value"]) for r in near):
            yield f"{row['name']} = {row['value']} of attempt {row['attempt']} is in no line of reports.jsonl"


def _told_all(trial):
    return trial.row["state"] in {"finished", "stopped", "failed"} and trial.row["cause"] not in LOST


def _scores(trial, index, name):
    rows = [row for row in trial.scores if row["objective"] == index]
    if [row["position"] for row in rows] != list(range(len(rows))):
        yield f"the positions of {name} are {[row['position'] for row in rows]}"
    attempts = [row["attempt"] for row in rows]
    if attempts != sorted(attempts):
        yield f"the values of {name} mix attempts: {attempts}"
    for attempt in sorted(set(attempts)):
        told = [row["value"] for row in rows if row["attempt"] == attempt]
        written = [r["m"][name] for r in trial.reports.get(attempt, []) if name in r["m"]]
        told = told[: len(written)] if attempt in trial.cut_off else told
        if len(told) > len(written) or not all(map(_same, written, told)):
            yield f"{name} of attempt {attempt} is {told} in the ledger, {written} in reports.jsonl"
    last = trial.row["attempt"]
    written = [r for r in trial.reports.get(last, []) if name in r["m"]]
    if _told_all(trial) and attempts.count(last) != len(written):
        yield f"has ended with {attempts.count(last)} of {len(written)} values of {name}"
    if _told_all(trial) and written and _starts_over(written) and set(attempts) != {last}:
        yield f"started over in attempt {last}, but the values of {name} are of attempts {sorted(set(attempts))}"


def _starts_over(reports):
    return reports[0]["step"] in {None, 0}


def _same(written, stored):
    """SQLite keeps NaN as NULL."""
    return stored is None if math.isnan(written) else written == stored


def _configs(spec, seed, trials, expected):
    """Grid and random search know nothing of results: the configs are those of an undisturbed sweep."""
    if spec.method not in {Method.GRID, Method.RANDOM}:
        return
    search = make_search(spec, SearchSpace.of(spec.parameters), seed)
    configs = {number: json.loads(trial.row["config"]) for number, trial in trials.items()}
    before = []
    for number, config in configs.items():
        proposed = search.suggest(number, (), before)
        before.append(Pending(number=number, config=proposed))
        wanted = json.loads(json.dumps(proposed, default=str))
        if config != wanted:
            yield f"trial {number}: its config is {config}, undisturbed it would be {wanted}"
    if spec.method is Method.GRID and expected.over and spec.run_cap is None:
        names = list(spec.parameters)
        points = [dict(zip(names, p, strict=True)) for p in product(*(_values(spec, name) for name in names))]
        lacking = [p for p in points if p not in configs.values()]
        if lacking or len(points) != len(configs):
            yield f"the grid of {len(points)} points is covered by {len(configs)} trials; not tried: {lacking}"


def _values(spec, name):
    parameter = spec.parameters[name]
    return list(parameter.values) if hasattr(parameter, "values") else [parameter.value]


def _best(spec, trials, expected):
    if not spec.objectives:
        return
    sign = -1.0 if spec.objectives[0].goal is Goal.MAXIMIZE else 1.0
    best = None
    for number, trial in sorted(trials.items()):
        values = [row["value"] for row in trial.scores if row["objective"] == 0 and row["value"] is not None]
        finite = [v for v in values if math.isfinite(v)]
        value = (
            (finite[-1] if spec.options.objective == "last" else sign * min(sign * v for v in finite))
            if finite
            else None
        )
        if value != trial.row["value"]:
            yield f"trial {number}: its value is {trial.row['value']}, by its reports it is {value}"
        if value is None or trial.row["state"] in {"failed", "canceled"}:
            continue
        if best is None or sign * value < sign * best[0]:
            best = (value, number)
    if expected.best is not None and (best is None or expected.best != json.loads(trials[best[1]].row["config"])):
        yield f"{expected.best} was printed as the best, by the reports it is {best} (value, trial)"


def left_processes(mark: str) -> list[str]:
    """Return what is still running of those that were started with ``NAME=value`` in their environment."""
    return [f"process {pid} is left: {command}" for pid, command in marked(mark).items()]


def marked(mark: str) -> dict[int, str]:
    """Return the living processes, this one aside, with ``NAME=value`` in their environment: command lines by pid."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:150]
        except OSError:
            continue
    return found
