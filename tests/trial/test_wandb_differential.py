"""W&B is the judge: generated programs run by themselves and as trials, and our rows are those of their `.wandb` records."""

import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Iterator

import pytest

from orchestrator.ledger.curves import Objective, Values
from orchestrator.trial.contract.events import Cause, Reported
from orchestrator.trial.formats.wandb_log import WandbLog
from tests.trial.conftest import PROGRAMS, a_wandb_run

N_SEQUENCES = 200
IN_CI = 11
PART = 20
NAMES = ("loss", "acc", "epoch", "val/loss", "val.acc")
VALUES = (0, 1, -3, 0.1, 0.25, 1e-9, 1e30, 2**40, math.nan, math.inf, -math.inf, "text", None)
KEPT = ("min", "max", "mean", "first", "last", "none", "copy", "min,max", "last,none")

WRITTEN = -1
"""The sequence of what few generated ones have.

A call that W&B drops leaves a mapping what it was, and None leaves a summary as it was. A text put into a summary ends what was
kept there, to take it out does not. A run that is begun anew replaces what its earlier session kept, by outermost keys.
"""
SEQUENCES = {
    WRITTEN: [
        ["log", {"a": 1}, {"step": 5, "commit": False}],
        ["log", {"deep": {"x": 2, "y": {"z": 3}}}, {"commit": False}],
        ["log", {"deep": 4}, {"step": 4}],
        ["log", {"deep": 5}, {}],
        *(["define", name, {"summary": "min,last"}] for name in ("acc", "loss", "epoch", "best", "*", "deep.x")),
        ["log", {"other": 1, "deep": {"x": 2}, "loss": 6}, {}],
        ["set", "other", "text"],
        ["delete", "loss"],
        ["log", {"other": 2, "deep": 3}, {}],
        ["log", {"acc": 6, "loss": 7, "epoch": 8, "best": 9}, {}],
        ["update", {"kept": 1, "text": 2, "gone": 3, "deep": {"x": 1}}],
        ["again"],
        ["define", "epoch", {"summary": "none"}],
        ["log", {"acc": 10, "epoch": 11, "loss": "text", "best": None}, {"commit": False}],
        ["set", "own", 12],
        ["log", {"own": None}, {}],
        ["update", {"text": "text", "gone": 1, "deep": {"y": 20}}],
        ["delete", "gone"],
    ]
}


def a_row(rng: random.Random):
    row = {
        rng.choice(NAMES): rng.choice(VALUES) if rng.random() < 0.4 else rng.random() for _ in range(rng.randint(0, 3))
    }
    if rng.random() < 0.08:
        row[rng.choice(("deep.x", ""))] = rng.random()
    if rng.random() < 0.2:
        row["deep"] = {"x": rng.random(), "y": {"z": rng.randint(0, 9)}} if rng.random() < 0.7 else rng.random()
    return row


def a_logging(rng: random.Random, step: int):
    keywords = {}
    if rng.random() < 0.5:
        keywords["step"] = max(0, step + rng.choice((-2, -1, 0, 0, 0, 1, 1, 5)))
    if rng.random() < 0.4:
        keywords["commit"] = rng.random() < 0.5
    return [a_row(rng), keywords]


def a_call(rng: random.Random, step: int):
    chance = rng.random()
    if chance < 0.72:
        return ["log", *a_logging(rng, step)]
    if chance < 0.80:
        name = rng.choice((*NAMES, "val*", "deep.x", "*"))
        given = (
            {"summary": rng.choice(KEPT)} if rng.random() < 0.6 else {"step_metric": rng.choice(("epoch", "deep.x"))}
        )
        if rng.random() < 0.15:
            given |= rng.choice(({"overwrite": True}, {"step_sync": False}, {"summary": rng.choice(KEPT)}))
        return ["define", name, given]
    if chance < 0.90:
        value = rng.choice(VALUES)
        return rng.choice(
            (["set", rng.choice(NAMES), value], ["update", {"best": value, "loss": 5}], ["deep", 7], ["delete", "loss"])
        )
    if chance < 0.93:
        return ["threads", *([a_logging(rng, step) for _ in range(6)] for _ in range(2))]
    child = ["child", {rng.choice(("best", "loss", "acc")): rng.random()}]
    return rng.choice((["again"], ["beside", a_row(rng)], ["fold", a_row(rng)], child))


def a_sequence(seed: int):
    if seed in SEQUENCES:
        return SEQUENCES[seed]
    rng = random.Random(seed)
    calls, step = [], 0
    for _ in range(rng.randint(1, 25)):
        calls.append(a_call(rng, step))
        step += rng.random() < 0.4
    return calls


def records(directory, run_id) -> Iterator:
    """Every record of a run's logs, in order."""
    paths = directory.glob(f"wandb/*run-*/run-{run_id}.wandb")
    for path in sorted(paths, key=lambda path: (path.stat().st_ctime_ns, path)):
        yield "begin", None
        for record in WandbLog(path).read():
            yield record.WhichOneof("record_type"), record


def name_of(item):
    return tuple(item.nested_key) or (item.key,)


def is_number(value):
    return isinstance(value, int | float)


def flat(data, prefix=""):
    found = {f"{prefix}{key}": float(value) for key, value in data.items() if is_number(value)}
    for key, value in data.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {}
    return found


class Branch(dict):
    """What has summaries of its own below it; a mapping that was put there as a whole is one value, and gives way."""


def recorded(directory, run_id):
    """Rows and the last summary of a run, as its record has them.

    Of a row's number, and of the same name spelt with dots, the nested one counts. The other is in the summary, too, where the
    nested one may be gone.
    """
    rows, summary, earlier = [], {}, {}
    for kind, record in records(directory, run_id):
        if kind == "begin":
            earlier, summary = earlier | summary, {}
        if kind == "history":
            found = sorted(
                record.history.item, key=lambda item: len(name_of(item))
            )  # of one dotted name the nested one
            items = {".".join(name_of(item)): json.loads(item.value_json) for item in found}
            step = items.pop("_step")
            numbers = {name: float(value) for name, value in items.items() if is_number(value)}
            rows.append((step, {name: value for name, value in numbers.items() if not name.startswith("_")}))
        if kind == "summary":
            for item in [item for item in record.summary.update if name_of(item) != ("deep.x",)]:
                *above, last = name_of(item)
                place = summary
                for key in above:
                    place[key] = place[key] if isinstance(place.get(key), Branch) else Branch()
                    place = place[key]
                place[last] = json.loads(item.value_json)
            for item in record.summary.remove:
                summary.pop(name_of(item)[0], None)
    return rows, {name: value for name, value in flat(earlier | summary).items() if not name.startswith("_")}


def reported(trial):
    """Rows and summary as a trial reported them."""
    rows = [(report.step, dict(report.metrics)) for report in trial.reports if not report.part]
    (*_, last) = [event for event in trial.events if isinstance(event, Reported)] or [Reported(trial=0, attempt=0)]
    return rows, dict(last.summary)


def standing(rows, summary, name, sign):
    """What the ledger makes of a metric: (best, last) or None."""
    found = []
    for last in (False, True):
        values = Values(Objective(name=name, sign=sign, last=last))
        for step, metrics in rows:
            if name in metrics:
                values.add(step, metrics[name])
        values.summarize(summary.get(name))
        found.append(None if values.standing is None else sign * values.standing[0])
    return found


def best(rows, summary, name, sign):
    """The best finite value of history and summary: what W&B's sweeps go by."""
    values = [metrics[name] for _, metrics in rows if name in metrics] + ([summary[name]] if name in summary else [])
    return min((value for value in values if math.isfinite(value)), key=lambda value: sign * value, default=None)


def texts(rows):
    return [(step, sorted((name, repr(value)) for name, value in metrics.items())) for step, metrics in rows]


def differences(trial, rows, summary):
    """What our record of a trial has otherwise than W&B's, in words."""
    ours, our_summary = reported(trial)
    if texts(ours) != texts(rows):
        return [f"rows {texts(ours)} instead of {texts(rows)}"]
    names = {name for _, metrics in (*rows, *ours) for name in metrics} | summary.keys() | our_summary.keys()
    return [
        f"{name} * {sign}: {of_ours} instead of {of_theirs}; summary {our_summary} instead of {summary}"
        for name in sorted(names)
        for sign in (1.0, -1.0)
        if (of_ours := standing(ours, our_summary, name, sign)[0]) != (of_theirs := best(rows, summary, name, sign))
    ]


@pytest.fixture(scope="module")
def by_themselves(tmp_path_factory):
    """Runs sequences without us, in one process; returns where their records are."""

    def run(sequences):
        directory = tmp_path_factory.mktemp("plain")
        (directory / "sequences.json").write_text(json.dumps(sequences))
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "SWEEP_"))}
        environment |= {"WANDB_MODE": "offline", "WANDB_DIR": str(directory), "WANDB_SILENT": "true"}
        command = [sys.executable, str(PROGRAMS / "sequence.py"), "sequences.json"]
        subprocess.run(command, cwd=directory, env=environment, check=True, timeout=600)
        return directory

    return run


def compare(shared, by_themselves, seeds):
    sequences = {seed: a_sequence(seed) for seed in seeds}
    plain = by_themselves([(f"s{seed}", calls) for seed, calls in sequences.items()])
    found = {}
    for seed, calls in sequences.items():
        file = shared.script(json.dumps([("own", calls)]), f"sequence{seed}.json")
        number = 3000 + seed
        trial = shared.run(PROGRAMS / "sequence.py", str(file), trial=number, wandb=a_wandb_run(number))
        assert trial.ended().cause is Cause.FINISHED, (seed, trial.log)
        run_id = trial.launch.wandb.run_id
        trial.until(lambda t=trial, i=run_id: [kind for kind, _ in records(t.dir, i)][-1:] == ["exit"])
        found[seed] = differences(trial, *recorded(trial.dir, run_id))
        if not any(call[0] == "threads" for call in calls):
            found[seed] += differences(trial, *recorded(plain, f"s{seed}"))
    assert not any(found.values()), {seed: said for seed, said in found.items() if said}


def test_rows_summary_and_objective_are_those_of_the_record(shared, by_themselves):
    """Steps forward, back and repeated, commit, several runs, summaries, define_metric, folds, threads: a sample."""
    compare(shared, by_themselves, [WRITTEN, *range(IN_CI)])


@pytest.mark.soak
@pytest.mark.parametrize("first", range(0, N_SEQUENCES, PART))
def test_rows_summary_and_objective_are_those_of_the_record_at_length(shared, by_themselves, first):
    """The same with two hundred programs."""
    compare(shared, by_themselves, range(first, first + PART))
