"""`sweep repair`, and what every command makes of a ledger that is damaged."""

import contextlib
import io
import itertools
import json
import random
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator import session
from orchestrator.cli.main import build
from orchestrator.errors import DamagedLedgerError, LedgerError, SweepError, SweepLockedError
from orchestrator.layout import SweepDir
from orchestrator.ledger.curves import Objective
from orchestrator.ledger.lock import controlling
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.store import Ledger
from orchestrator.trial.contract.end_record import leave_record
from tests.cli.shell import sweep

LOSS = Objective(name="loss", sign=1.0, last=False)
ARCHIVE = Path(__file__).parents[2] / "old" / "sweep.tar.gz"
STATES = ["finished", "failed", "stopped", "running", "pending"]


@pytest.fixture(scope="module")
def archived(tmp_path_factory):
    """A real sweep's directory, its ledger in one file, beside another sweep."""
    path = tmp_path_factory.mktemp("sweeps")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(path, filter="data")
    (ledger,) = path.glob("runs/*/ledger.sqlite")
    database = sqlite3.connect(ledger)
    database.execute("UPDATE sweep SET cwd = ?, source_path = NULL", (str(path),))
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    other = shutil.copytree(ledger.parent, ledger.parent.with_name("other-aaaaaaaa"))
    database = sqlite3.connect(other / "ledger.sqlite")
    database.execute("UPDATE sweep SET sweep_id = 'aaaaaaaa'")
    database.commit()
    database.close()
    return path


@pytest.fixture
def place(archived, tmp_path):
    """A copy of it to spoil."""
    shutil.copytree(archived, tmp_path / "place")
    return tmp_path / "place"


def ledger_of(place):
    (ledger,) = place.glob("runs/old-*/ledger.sqlite")
    return ledger


def change(place, *statements):
    database = sqlite3.connect(ledger_of(place))
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def spoil(place, what):
    """One kind of damage."""
    path = ledger_of(place)
    data = bytearray(path.read_bytes())
    match what:
        case "schema text":
            data[data.index(b"CREATE TABLE trials") + 3] = 0xFF
        case "schema word":
            data[data.index(b"CREATE TABLE trials") + 3] = ord("X")
        case "no database":
            data[:16] = b"not an SQLite db"
        case "cut":
            del data[len(data) // 2 :]
        case "empty":
            data.clear()
        case "zeros":
            data[4096:] = bytes(len(data) - 4096)
    path.write_bytes(data)


BAD_ROWS = {
    "state": "UPDATE trials SET state = 'finishfd' WHERE number = 1",
    "config": "UPDATE trials SET config = '{\"x' WHERE number = 1",
    "config kind": "UPDATE trials SET config = '[1]' WHERE number = 1",
    "deep config": f"UPDATE trials SET config = '{'[' * 100_000}' WHERE number = 1",
    "metrics": "UPDATE trials SET metrics = '{\"loss\": 3}' WHERE number = 1",
    "scores": "UPDATE trials SET scores = '[\"x\"]' WHERE number = 1",
    "time": "UPDATE trials SET started = 1e300 WHERE number = 1",
    "cause": "UPDATE trials SET cause = 'boredom' WHERE number = 1",
    "bytes": "UPDATE trials SET reason = CAST(x'ff41' AS TEXT) WHERE number = 1",
}
WHOLE_FILE = ["schema text", "schema word", "no database", "cut", "empty", "zeros"]


def run(*words):
    """A command in this process; return what it printed and the error it ended with, which is one for people or none."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            build()(words, standalone_mode=False)
        except SweepError as error:
            return out.getvalue(), err.getvalue(), error
    return out.getvalue(), err.getvalue(), None


def of(place, *words):
    return run(words[0], "old-qvyr9req", *words[1:], "--runs-dir", str(place / "runs"))


@pytest.mark.parametrize("name", BAD_ROWS)
def test_one_bad_row_hides_nothing_else(place, name):
    """`ls` has a line for it, `show` and `best` show the other trials and say so, `resume` refuses and names the remedy."""
    change(place, BAD_ROWS[name])
    out, err, error = run("ls", "--runs-dir", str(place / "runs"))
    assert error is None
    assert "aaaaaaaa" in out
    assert "qvyr9req" in out
    out, err, error = of(place, "show", "--all", "--json")
    assert error is None
    shown = json.loads(out)
    readable = {trial["number"] for trial in shown["trials"]}
    assert readable >= {0, 2, 3, 4}
    if name != "bytes":
        assert readable == {0, 2, 3, 4}
        assert "of trial 1 in trials cannot be what was written there" in err
    assert "`sweep repair qvyr9req` rebuilds the ledger" in err
    assert shown["sweep"]["damage"]
    out, _, error = of(place, "best", "--json")
    assert error is None
    assert json.loads(out)["trials"][0]["number"] == 0
    _, _, error = of(place, "resume", "--trust")
    assert isinstance(error, DamagedLedgerError)
    assert "`sweep repair qvyr9req` rebuilds it" in str(error)


@pytest.mark.parametrize("what", WHOLE_FILE)
def test_a_file_that_is_no_ledger_any_more_is_one_line(place, what):
    """Every command says what is wrong and what to do; other sweeps are not concerned."""
    spoil(place, what)
    out, err, error = run("ls", "--runs-dir", str(place / "runs"), "--json")
    assert error is None
    listed = {row["id"]: row for row in json.loads(out)}
    assert listed["qvyr9req"]["state"] == "damaged"
    assert listed["aaaaaaaa"]["best"] == 0.01
    assert len(err.splitlines()) <= 1
    for command in ("show", "best", "export", "report", "resume"):
        _, err, error = of(place, command, *(["--trust"] if command == "resume" else []))
        assert error is None or isinstance(error, LedgerError), command
        assert "sweep repair qvyr9req" in err + str(error), command


@pytest.mark.parametrize("what", [*WHOLE_FILE, *BAD_ROWS, "missing"])
def test_a_repaired_ledger_has_every_trial_as_it_was(place, what):
    """Whatever was damaged: states, values, causes and errors; and the damaged file is kept."""
    before = ledger_of(place)
    if what == "missing":
        before.unlink()
    elif what in BAD_ROWS:
        change(place, BAD_ROWS[what])
    else:
        spoil(place, what)
    spoilt = before.read_bytes() if before.exists() else None
    out, _, error = of(place, "repair", "--yes")
    assert error is None
    assert "is damaged" in out
    with LedgerReader(ledger_of(place)) as reader:
        trials = reader.trials()
        assert reader.damage == []
    assert [str(trial.state) for trial in trials][:3] == STATES[:3]
    assert all(str(trial.state) in {"running", "pending"} for trial in trials[3:])
    assert [dict(trial.config) for trial in trials] == [{"x": x} for x in (1, 2, 3, 4, 5)]
    assert [trial.value for trial in trials[:3]] == [0.01, 0.2, 1 / 6]
    assert (trials[1].error, trials[0].error) == ("bad x", None)
    assert [trial.attempt for trial in trials] == [0, 0, 0, 2, 1]
    ledger = Ledger(ledger_of(place))
    ledger.load((LOSS,))
    ledger.close()
    assert [path.read_bytes() for path in before.parent.glob("ledger.sqlite.damaged-*") if path.suffix != "-wal"][
        :1
    ] == ([] if spoilt is None else [spoilt])
    out, _, error = of(place, "repair")
    assert "sound" in out


def test_it_asks_first_and_leaves_a_sound_ledger_alone(place):
    """Without an answer nothing changes; while somebody controls the sweep it refuses."""
    out, _, error = of(place, "repair")
    assert "is sound" in out
    change(place, BAD_ROWS["state"])
    before = ledger_of(place).read_bytes()
    done = sweep("repair", "old-qvyr9req", cwd=place)
    assert done.returncode == 2
    assert "3 trials" not in done.stdout
    assert "4 trials (0, 2, 3, 4) as the damaged ledger has them" in done.stdout
    assert "trial 1 as their directories tell" in done.stdout
    assert "sweep repair --yes" in done.stderr
    assert ledger_of(place).read_bytes() == before
    with controlling(ledger_of(place).with_name("controller.lock")):
        _, _, error = of(place, "repair", "--yes")
    assert isinstance(error, SweepLockedError)


def test_a_newer_releases_ledger_is_not_repaired(place):
    """It is not damaged, but newer."""
    change(place, "PRAGMA user_version = 99")
    _, _, error = of(place, "repair", "--yes")
    assert "has version 99" in str(error)


def test_what_is_not_known_is_said(place):
    """The seed, and what the command line had changed."""
    ledger_of(place).unlink()
    out, _, _ = of(place, "repair", "--yes")
    assert "the seed is not known" in out
    assert "what --set and other options changed is not known" in out


def test_a_repaired_trial_whose_last_attempt_added_nothing_has_finished(place):
    """It had gone on from a checkpoint behind its last row."""
    ledger = ledger_of(place)
    ledger.unlink()
    trial = SweepDir(ledger.parent).trial(0)
    trial.attempt_path(1).touch()
    leave_record(trial, 1, {"exit_code": 0, "started": True})
    of(place, "repair", "--yes")
    with LedgerReader(ledger_of(place)) as reader:
        found = reader.trials()[0]
    assert (found.attempt, str(found.state), found.error, found.value) == (1, "finished", None, 0.01)


COMMANDS = [("show",), ("best",), ("export",), ("report",), ("show", "3"), ("resume", "--trust"), ("repair", "--yes")]


def flipped(data, seed, n):
    """The bytes with a few bits turned over, most of them where something is."""
    rng = random.Random(seed)
    spoilt = bytearray(data)
    used = [i for i, byte in enumerate(data) if byte] if seed % 2 else range(len(data))
    for _ in range(n):
        spoilt[rng.choice(used)] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


@pytest.fixture(scope="module")
def victim(archived, tmp_path_factory):
    """A sweep to damage again and again."""
    path = tmp_path_factory.mktemp("victim") / "place"
    shutil.copytree(archived, path)
    ledger_of(path).rename(path / "sound")
    return path


WRONG = ["ru~ning", b"\x00\xff", 1e308, -1, None, 2**62, "[1,2]", '{"a":"b"}']


def columns(path):
    """Every column of every table, and which row of it is spoilt: all of them where rows have no number."""
    with closing(sqlite3.connect(path)) as database:
        tables = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
        return [
            (table, row[1], "" if "WITHOUT ROWID" in sql else f" WHERE rowid = (SELECT max(rowid) FROM {table})")
            for table, sql in tables
            for row in database.execute(f"PRAGMA table_info({table})")
        ]


def wrong_ledgers(victim):
    """Put each wrong value into each column of a row, and yield where that is."""
    home = victim / "runs" / "old-qvyr9req"
    for (table, column, which), value in itertools.product(columns(victim / "sound"), WRONG):
        for beside in home.glob("ledger.sqlite*"):
            beside.unlink()
        shutil.copy(victim / "sound", home / "ledger.sqlite")
        database = sqlite3.connect(home / "ledger.sqlite", isolation_level=None)
        with closing(database), contextlib.suppress(sqlite3.IntegrityError):
            database.execute(f"UPDATE {table} SET {column} = ?{which}", (value,))
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        yield f"{table}.{column} = {value!r}"


def test_a_controller_reads_whatever_value_is_in_a_row_or_refuses_it(victim):
    """What it reads of trials, attempts, metrics, decisions and requests: a value, or an error for people that names the row."""
    for where in wrong_ledgers(victim):
        with contextlib.suppress(LedgerError), closing(Ledger(ledger_of(victim))) as ledger:
            assert ledger.sweep.record.sweep_id, where
            ledger.load((LOSS,))
            for trial in ledger.trials():
                ledger.metrics.of(trial.number), ledger.metrics.n_told(trial.number), ledger.decisions.asked(trial)
            ledger.attempts.ends(), ledger.attempts.spans(), ledger.memory.of_trials(), ledger.requests.take()


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_command_ends_well_whatever_value_is_in_a_row(victim, monkeypatch):
    """With what could be read, or with an error for people."""
    monkeypatch.setattr(session, "conduct", no_ray)
    for _ in wrong_ledgers(victim):
        for command, *words in (*COMMANDS, ("logs", "1")):
            of(victim, command, *words)


def no_ray(*_, **__):
    raise SweepError("would run")


@given(seed=st.integers(0, 2**32), n=st.sampled_from([1, 1, 2, 5, 40]))
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whatever_bits_turn_over_every_command_ends_well(victim, monkeypatch, seed, n):
    """With what could be read, or with an error for people; never a traceback, and after a repair the ledger is sound."""
    monkeypatch.setattr(session, "conduct", no_ray)
    path, home = victim, victim / "runs" / "old-qvyr9req"
    for beside in home.glob("ledger.sqlite*"):
        beside.unlink()
    (home / "ledger.sqlite").write_bytes(flipped((victim / "sound").read_bytes(), seed, n))
    out, _, error = run("ls", "--runs-dir", str(path / "runs"))
    assert error is None
    assert "aaaaaaaa" in out
    for command, *words in COMMANDS:
        _, _, error = of(path, command, *words)
    if error is None:
        ledger = Ledger(ledger_of(path))
        ledger.load((LOSS,))
        ledger.close()
        _, _, error = of(path, "show")
        assert error is None
