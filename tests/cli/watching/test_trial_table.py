"""Columns that grow trial by trial, held against the report's."""

import math
import time

import pytest

from orchestrator.cli.watching.followed import Followed
from orchestrator.cli.watching.trial_table import Said, TrialTable
from orchestrator.errors import SweepError
from orchestrator.ledger.records import TrialState
from orchestrator.reporting.facts import read_facts
from orchestrator.reporting.filter import columns_of
from orchestrator.spec import load_text
from tests.cli.watching.live import SPEC, Live

NESTED = """
program: train.py
method: random
metrics: [{name: acc, goal: maximize}, {name: size}]
parameters:
  lr: {distribution: log_uniform_values, min: 1.0e-6, max: 1.0}
  mixed: {values: [1, 2.5, none, true]}
  opt:
    parameters:
      name: {values: [adam, sgd]}
      "state": {values: ["a\\u202eb", c]}
"""


def test_it_has_the_columns_of_the_report(tmp_path):
    """Names, texts and numbers are those that `--where` and the page filter by, for every kind of parameter and state."""
    live = Live(tmp_path, NESTED)
    live.now = time.time() + 30.0
    configs = (
        {"lr": 1.23456789e-5, "mixed": 1, "opt": {"name": "adam", "state": "a\u202eb"}},
        {"lr": 0.5, "mixed": 2.5, "opt": {"name": "sgd", "state": "c"}},
        {"lr": 1.0, "mixed": None, "opt": {"name": "sgd"}},
        {"lr": 0.25, "mixed": True},
    )
    for config in configs:
        number = live.ledger.add_trial(config).number
        live.ledger.begin_attempt(number)
    live.report(0, 0.123456789, name="acc")
    live.report(0, 3.0, name="size")
    live.report(1, math.nan, name="acc")
    live.end(0), live.end(1), live.end(2, TrialState.FAILED, "bad \x1b[31mred"), live.end(3, TrialState.STOPPED, "rule")
    live.use(0, busy=0.123456789, cpus=1.5), live.use(2, busy=None, cpus=0.0)
    followed = Followed(live.dir, clock=live.clock)
    picture = followed.look()
    theirs = [column for column in columns_of(read_facts(live.dir)) if column.name != "flags"]
    ours = picture.table.columns
    assert all(picture.table.is_known(i) for i in range(len(ours)))
    assert [column.name for column in ours] == [column.name for column in theirs]
    for mine, page in zip(ours, theirs, strict=True):
        assert list(mine.texts) == list(page.texts), mine.name
        assert list(mine.numbers) == pytest.approx(
            list(page.numbers), abs=0.11 if mine.name == "time" else 0, nan_ok=True
        )
    followed.close()
    live.close()


@pytest.fixture
def table(tmp_path):
    live = Live(tmp_path)
    found = TrialTable(live.spec)
    for lr, loss in ((0.3, 2.0), (0.1, 5.0), (0.2, None), (0.4, 1.0)):
        number = live.begin(lr=lr)
        if loss is not None:
            live.report(number, loss)
    live.end(3, TrialState.FAILED, "boom")
    for trial in live.ledger.trials():
        found.put(trial, Said(took_s=float(trial.number), words=trial.error or ""))
    yield found
    live.close()


def test_rows_are_ordered_by_any_column(table):
    """Without a value last, whichever way; by the metric those behind the others that cannot be the best."""
    assert table.first_sorted == 2
    assert table.arranged("", 2, downwards=False) == [0, 1, 2, 3]
    assert table.arranged("", 2, downwards=True) == [1, 0, 2, 3]
    lr = next(i for i in table.parameters if table.columns[i].name == "lr")
    assert table.arranged("", lr, downwards=False) == [1, 2, 0, 3]
    note = len(table.columns) - 1
    assert table.arranged("", note, downwards=True) == [3, 0, 1, 2]
    assert table.arranged("lr>0.15", lr, downwards=True) == [3, 0, 2]
    with pytest.raises(SweepError, match="no column gpu"):  # nobody has looked at one
        table.arranged("gpu>50", lr, downwards=True)
    with pytest.raises(SweepError, match="no column lrr; did you mean lr"):
        table.arranged("lrr>0.15", lr, downwards=True)


def test_a_trial_is_replaced_where_it_stands(table):
    """Its place stays, its texts are the new ones, and a column in which all were the same may vary."""
    note = len(table.columns) - 1
    state = 1
    assert not table.is_constant(state)
    where = next(i for i, column in enumerate(table.columns) if column.name == "where")
    assert table.is_constant(where)
    table.put(table.records[1], Said(took_s=7.0, words="new words"))
    assert (table.place_of(1), table.columns[note].texts[1], len(table.records)) == (1, "new words", 4)
    assert table.place_of(9) is None


def test_a_sweep_without_a_metric_is_in_the_order_of_its_trials():
    """There is nothing else to go by."""
    spec = load_text(SPEC.replace("metric:", "# metric:").replace("early_", "# early_"), needs_program=False).require()
    assert TrialTable(spec).first_sorted == 0
