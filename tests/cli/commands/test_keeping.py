"""Sweeps get names, tags and notes, and are put away: by hand, on real ledgers."""

import json

import pytest

from orchestrator.cli.naming import sweep_named
from orchestrator.errors import SweepError, SweepLockedError, UnknownSweepError
from orchestrator.ledger import origin
from orchestrator.ledger.lock import controlling
from tests.cli.shell import called
from tests.reporting.planted import Plan, plant

SPEC = "{program: t.py, method: random, metric: {name: loss}, parameters: {lr: {min: 0, max: 1}}}"


@pytest.fixture
def runs(tmp_path):
    """Two sweeps of three trials."""
    for sweep_id in ("aaaa0001", "bbbb0002"):
        plant(
            tmp_path,
            n=3,
            gpus=1,
            spec=SPEC,
            sweep_id=sweep_id,
            name="digits",
            play=lambda n, *_: Plan([{"loss": n + 0.5}]),
        )
    return tmp_path


def run(runs, *words):
    return called(*words, "--runs-dir", runs)


def test_tags_and_notes_are_said_shown_and_filtered_by(runs):
    """On the command line, in `ls`, in `show` of the sweep and of the trial, and in JSON."""
    assert run(runs, "tag", "aaaa", "base", "v2") == "sweep aaaa0001: #base #v2\n"
    assert run(runs, "tag", "aaaa/1", "good") == "trial 1 of sweep aaaa0001: #good\n"
    assert run(runs, "note", "aaaa", "with warm-up") == "sweep aaaa0001: with warm-up\n"
    assert run(runs, "note", "aaaa/1", "keep it") == "trial 1 of sweep aaaa0001: keep it\n"
    assert run(runs, "tag", "aaaa", "v2", "--remove") == "sweep aaaa0001: #base\n"
    assert run(runs, "note", "bbbb") == "sweep bbbb0002: no note\n"
    shown = run(runs, "show", "aaaa")
    assert "about      #base: with warm-up" in shown
    assert "#good: keep it" in shown
    assert "#good: keep it" in run(runs, "show", "aaaa/1")
    assert json.loads(run(runs, "show", "aaaa/1", "--json"))["tags"] == ["good"]
    assert run(runs, "ls", "--tag", "base", "-q") == "aaaa0001\n"
    assert "#base: with warm-up" in run(runs, "ls")
    assert run(runs, "ls", "--where", "tags=base", "-q") == "aaaa0001\n"
    with pytest.raises(SweepError, match="sweep aaaa0001 has no trial 9; its trials are 0 to 2"):
        run(runs, "tag", "aaaa/9", "x")


def test_sweeps_are_listed_by_state(runs):
    """A misspelt one is an error that says which there are."""
    assert run(runs, "ls", "--state", "running", "-q") == ""
    assert run(runs, "ls", "--state", "finished", "--state", "interrupted", "-q").split() == ["bbbb0002", "aaaa0001"]
    with pytest.raises(SweepError, match="--state done is none of running, paused"):
        run(runs, "ls", "--state", "done")


def test_a_sweep_gets_another_name(runs):
    """In its ledger and its directory; it stays trusted, and its id stays."""
    origin.record(sweep_named("aaaa", runs))
    assert "is now MNIST, again" in run(runs, "rename", "aaaa", "MNIST, again")
    found = sweep_named("MNIST, again", runs)
    assert (found.path.name, origin.doubt(found)) == ("MNIST-again-aaaa0001", None)
    assert "MNIST, again aaaa0001" in run(runs, "show", "aaaa")
    with pytest.raises(SweepError, match="a name has at least one character"):
        run(runs, "rename", "aaaa", " ")


@pytest.mark.parametrize(("command", "folder"), [("archive", "archive"), ("rm", "trash")])
def test_a_sweep_is_put_away_when_that_is_agreed_to(runs, command, folder):
    """Without a terminal only with --yes; nothing of it is lost, and `mv` brings it back."""
    before = sweep_named("aaaa", runs).path
    with pytest.raises(SweepError, match="Say so with --yes: nobody is there to ask"):
        run(runs, command, "aaaa")
    said = run(runs, command, "aaaa", "--yes")
    assert f"mv {runs / folder / before.name} {before}" in said
    assert (runs / folder / before.name / "ledger.sqlite").is_file()
    assert run(runs, "ls", "-q") == "bbbb0002\n"
    with pytest.raises(UnknownSweepError):
        sweep_named("aaaa", runs)
    if command == "archive":
        assert run(runs, "ls", "--archived", "-q") == "aaaa0001\n"


@pytest.mark.parametrize("words", [("rename", "aaaa", "x"), ("archive", "aaaa", "--yes"), ("rm", "aaaa", "--yes")])
def test_a_sweep_that_runs_stays_where_it_is(runs, words):
    """Its controller and trials write there."""
    sweep_dir = sweep_named("aaaa", runs)
    with controlling(sweep_dir.lock_path), pytest.raises(SweepLockedError):
        run(runs, *words)
    assert sweep_dir.ledger_path.is_file()
