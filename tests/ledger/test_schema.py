"""Ledgers of earlier releases, kept in old/: each is opened, read and continued."""

import sqlite3
from pathlib import Path

import pytest

from orchestrator.errors import LedgerError
from orchestrator.ledger.connection import connect
from orchestrator.ledger.curves import Objective
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import SweepState, TrialState
from orchestrator.ledger.requests import OF_TRIALS_FROM, Action, Instruction, ask
from orchestrator.ledger.schema import MIGRATIONS, migrate, version
from orchestrator.ledger.store import Ledger

OLD = sorted((Path(__file__).parent / "old").glob("ledger-*.sql"))
LOSS = Objective(name="loss", sign=1.0, last=False)


@pytest.fixture(params=OLD, ids=lambda path: path.stem)
def old(request, tmp_path):
    """A ledger as an earlier release has left it."""
    path = tmp_path / "ledger.sqlite"
    database = sqlite3.connect(path)
    database.executescript(request.param.read_text(encoding="utf-8"))
    database.close()
    return path


def structure(connection):
    """Names, columns, types and defaults of every table."""
    tables = [
        row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    ]
    return {table: [tuple(c)[1:] for c in connection.execute(f"PRAGMA table_info({table})")] for table in tables}


def test_there_is_an_old_ledger_for_every_migration_but_the_last():
    """A new migration comes with a ledger from before it."""
    assert [path.stem for path in OLD] == [f"ledger-{number}" for number in range(1, len(MIGRATIONS))]


def test_an_old_ledger_becomes_a_new_one(old, tmp_path):
    """The same tables as a fresh one, with what was in them."""
    Ledger(old).close()
    Ledger(tmp_path / "fresh.sqlite").close()
    upgraded, fresh = connect(old), connect(tmp_path / "fresh.sqlite")
    assert structure(upgraded) == structure(fresh)
    assert version(upgraded, old) == len(MIGRATIONS)
    upgraded.close()
    fresh.close()


def test_an_old_sweep_goes_on(old):
    """Its trials, values and curves are what they were, and it can be written."""
    ledger = Ledger(old)
    ledger.load((LOSS,))
    assert [str(trial.state) for trial in ledger.trials()] == ["finished", "failed", "running"]
    assert (ledger.trial(0).value, ledger.trial(1).error, ledger.trial(2).gpu_ids) == (1.5, "ValueError: no", ("2",))
    assert list(ledger.scores.curves()[0].scores) == [2.0, 1.5]
    assert ledger.sweep.record.active_s == 0.0
    ledger.requeue(2, "its controller died")
    ledger.begin_attempt(2)
    assert ledger.trial(2).state is TrialState.RUNNING
    ledger.close()


def test_an_old_ledger_can_be_looked_at_without_changing_it(old):
    """`sweep show` of a sweep that another release controls."""
    before = old.read_bytes()
    with LedgerReader(old) as reader:
        assert reader.sweep().state is SweepState.INTERRUPTED
        assert [trial.number for trial in reader.best(5)] == [2, 0]
        assert len(reader.attempts(1)) == 1
    assert old.read_bytes() == before


def test_a_newer_releases_ledger_is_left_alone(old):
    """Neither read wrongly nor changed."""
    database = sqlite3.connect(old)
    database.execute("PRAGMA user_version = 99")
    database.close()
    for opens in (Ledger, LedgerReader):
        with pytest.raises(LedgerError, match=r"has version 99, .* up to \d+\.\n  Update: pip install"):
            opens(old)


def test_a_migration_is_applied_once(tmp_path):
    """Opening again changes nothing."""
    connection = connect(tmp_path / "l.sqlite")
    migrate(connection, tmp_path)
    before = structure(connection)
    migrate(connection, tmp_path)
    assert structure(connection) == before
    connection.close()


def test_tables_are_strict(tmp_path):
    """A text in a number's column is a bug that shows at once."""
    connection = connect(tmp_path / "l.sqlite")
    migrate(connection, tmp_path)
    with pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT value in REAL column"):
        connection.execute("INSERT INTO trials (number, config, state, created, score) VALUES (0, '', '', 1, 'low')")
    kinds = [row["strict"] for row in connection.execute("PRAGMA table_list") if not row["name"].startswith("sqlite_")]
    assert set(kinds) == {1}
    connection.close()


def test_a_request_can_be_made_of_an_old_ledger(old):
    """`sweep stop` from a newer terminal."""
    ask(old, Instruction(action=Action.STOP))
    connection = connect(old)
    assert connection.execute("SELECT action FROM requests").fetchone()[0] == "stop"
    connection.close()


@pytest.mark.parametrize("old", OLD[: OF_TRIALS_FROM - 1], indirect=True, ids=lambda path: path.stem)
def test_a_request_that_an_old_controller_would_misread_is_refused(old):
    """It takes a request about one trial for one about the whole sweep."""
    with pytest.raises(LedgerError, match="an earlier release of sweep runs this sweep"):
        ask(old, Instruction(action=Action.STOP, trial=1))
    connection = connect(old)
    assert connection.execute("SELECT count(*) FROM requests").fetchone()[0] == 0
    connection.close()
