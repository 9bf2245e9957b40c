import io
import os

import pytest
import typer

from orchestrator.cli.commands.logs import _most_wanted
from orchestrator.cli.main import COMMANDS, build
from orchestrator.cli.naming import sweep_named, trials_named
from orchestrator.errors import SweepError
from orchestrator.ledger.lock import controlling
from orchestrator.ledger.reader import LedgerReader
from tests.cli.shell import called, write_project
from tests.reporting.planted import Plan, plant

SPEC = "{program: t.py, method: random, metric: {name: loss}, parameters: {lr: {min: 0, max: 1}}}"
WHOLE = ["best", "export", "report", "resume", "pause", "unpause", "repair", "sync", "board"]


def losses(number, *_):
    return Plan([{"loss": [3.0, 1.0, 2.0][number]}])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Four sweeps, the oldest first: two of one name, one whose name is a number, and the last, each of three trials."""
    runs = tmp_path_factory.mktemp("runs")
    made = [("digits", "aaaa0001"), ("digits", "aaab0002"), ("7", "12345678"), ("my mnist!", "2bcd0004")]
    for age, (name, sweep_id) in enumerate(made):
        sweep_dir = plant(runs, n=3, gpus=1, spec=SPEC, sweep_id=sweep_id, name=name, play=losses)
        os.utime(sweep_dir.spec_path, (1000 + age, 1000 + age))
        for number in range(3):
            sweep_dir.trial(number).log_path.write_text(f"{sweep_id} {number}")
    return runs


def printed(runs, *words):
    return called("logs", *words, "--runs-dir", runs)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["2"], "2bcd0004 2"),
        (["0002"], "2bcd0004 2"),
        (["last", "0"], "2bcd0004 0"),
        (["aaaa", "2"], "aaaa0001 2"),
        (["aaab/0"], "aaab0002 0"),
        (["last/0"], "2bcd0004 0"),
        (["my mnist!", "0"], "2bcd0004 0"),
        (["my-m", "0"], "2bcd0004 0"),
        (["12345678", "0"], "12345678 0"),
        (["7-12345678", "0"], "12345678 0"),
        (["7", "0"], "12345678 0"),
        (["7/0"], "12345678 0"),
        (["12345678"], "12345678 1"),
        ([], "2bcd0004 1"),
        (["aaaa0001"], "aaaa0001 1"),
        (["RUNS/digits-aaaa0001", "2"], "aaaa0001 2"),
        (["RUNS/digits-aaaa0001/trials/0002"], "aaaa0001 2"),
        (["RUNS/digits-aaaa0001"], "aaaa0001 1"),
    ],
)
def test_a_sweep_and_a_trial_are_named_in_many_ways(runs, words, said):
    """A number alone is a trial of the last sweep, without a trial it is the best; a sweep called 7 needs a trial behind it."""
    assert printed(runs, *(word.replace("RUNS", str(runs)) for word in words)) == said


@pytest.mark.parametrize("words", [["1"], ["last", "1"], ["2bcd/1"]])
def test_every_command_reads_them_the_same_way(runs, words):
    """`show` as `logs`, and `compare` with another one behind."""
    assert called("show", *words, "--runs-dir", runs).startswith("trial 1 of my mnist! 2bcd0004: finished")
    assert called("compare", *words, "0", "--runs-dir", runs).split()[:4] == ["trial", "1", "trial", "0"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["9"], "sweep 2bcd0004 has no trial 9; its trials are 0 to 2"),
        (["aaaa/9"], "sweep aaaa0001 has no trial 9; its trials are 0 to 2"),
        (["7"], "sweep 2bcd0004 has no trial 7"),
        (["digits", "0"], "'digits' means 2 sweeps; give more of the id:\n  aaab0002  digits-aaab0002\n  aaaa0001"),
        (["dgits", "0"], "Did you mean digits"),
        (["q", "0"], r"no sweep 'q' in .*\n  There are 2bcd0004 \(my-mnist\), 12345678 \(7\), aaab0002 \(digits\)"),
        (["last", "best"], "'best' is no trial.\n  It is a number, from 0."),
        (["0", "last"], "'last' is no trial.\n  Did you mean `last 0`?"),
    ],
)
@pytest.mark.parametrize("command", ["logs", "show"])
def test_who_is_not_there_is_told_who_is(runs, command, words, said):
    """With the near miss, in one sentence."""
    with pytest.raises(SweepError, match=said):
        called(command, *words, "--runs-dir", runs)


@pytest.mark.parametrize("command", WHOLE)
def test_a_command_about_whole_sweeps_takes_no_trial(runs, command):
    """A number is a trial for it, too: the last sweep is never meant by mistake, nor one whose id begins like that."""
    with pytest.raises(SweepError, match=r"2 is a trial here, .* takes a whole sweep") as caught:
        called(command, "2", "--runs-dir", runs)
    assert "for the last sweep, or write more of its id: 2bcd0004." in str(caught.value)
    with pytest.raises(SweepError, match="or write aaaa"):
        called(command, "aaaa/2", "--runs-dir", runs)


def test_a_log_is_said_to_be_whose(runs):
    """On the other stream, when no trial was named."""
    err = io.StringIO()
    assert called("logs", "--runs-dir", runs, err=err) == "2bcd0004 1"
    assert err.getvalue() == "trial 1 of 2bcd0004, the best:\n"


def test_the_only_running_trial_is_wanted_before_the_best(tmp_path):
    """As long as somebody controls the sweep; where nothing stands out, the trials are named."""
    sweep_dir = plant(tmp_path, n=9, gpus=1, spec=SPEC, play=lambda n, *_: Plan([{"loss": n}] * (1 + 99 * n)), until=90)
    with LedgerReader(sweep_dir.ledger_path) as reader:
        assert _most_wanted(sweep_dir, reader) == (0, "the best")
        with controlling(sweep_dir.lock_path):
            assert _most_wanted(sweep_dir, reader) == (1, "the only one that runs")
    silent = plant(tmp_path, n=3, gpus=3, spec=SPEC, sweep_id="silent00", play=lambda *_: Plan([{"acc": 1.0}]))
    with LedgerReader(silent.ledger_path) as reader, pytest.raises(SweepError, match="its trials are 0 to 2") as caught:
        _most_wanted(silent, reader)
    assert "Name one: sweep logs silent00 2" in str(caught.value)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_short_for_help(command):
    """`-h` as `--help`, of every command and of `sweep` itself."""
    words = [command] if command else []
    assert called(*words, "-h") == called(*words, "--help") != ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_can_be_quiet(command):
    """`-q`, for scripts: the one word that they need, or nothing."""
    _, found, _ = build().resolve_command(None, [command])
    assert ["-q", "--quiet"] in [option.opts for option in found.params]


def test_a_quiet_command_prints_what_scripts_need(runs, tmp_path):
    """A file's path, the names of what differs, nothing of a steered sweep, of a sound ledger or of what is sent already."""
    page = tmp_path / "page.html"
    assert called("report", "-q", "-o", page, "--runs-dir", runs) == f"{page}\n"
    assert called("compare", "last", "0", "1", "-q", "--runs-dir", runs).split() == ["value", "loss"]
    assert called("repair", "-q", "--runs-dir", runs) == called("sync", "-q", "--runs-dir", runs) == ""
    with controlling(sweep_named("last", runs).lock_path):
        assert called("pause", "-q", "--runs-dir", runs) == ""


def test_a_letter_means_one_option_in_all_commands():
    """And an option has one letter, or none, wherever it is."""
    group = build()
    options = [p.opts for name in COMMANDS for p in group.resolve_command(None, [name])[1].params if len(p.opts) > 1]
    meanings = {tuple(opts) for opts in options}
    assert len({letter for letter, _ in meanings}) == len(meanings) == len({name for _, name in meanings})


@pytest.mark.parametrize(
    ("words", "sweep_id", "trials"),
    [
        (["last"], "2bcd0004", []),
        (["aaaa"], "aaaa0001", []),
        (["2"], "2bcd0004", [2]),
        (["2", "0", "2"], "2bcd0004", [2, 0]),
        (["aaab/1"], "aaab0002", [1]),
        (["aaab", "0", "1"], "aaab0002", [0, 1]),
        (["1234", "2"], "2bcd0004", [1234, 2]),
    ],
)
def test_several_trials_are_named_as_one_is(runs, words, sweep_id, trials):
    """Numbers alone are of the last sweep, also several, and however a sweep's id begins."""
    sweep_dir, numbers = trials_named(words[0], words[1:], runs)
    assert (sweep_dir.sweep_id, numbers) == (sweep_id, trials)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["7", "1"],
            "7 may be a trial of the last sweep, or the sweep of that name.\n  Write `last 7 1`, or `12345678 1`",
        ),
        (["aaaa", "x"], "'x' is no trial.\n  It is a number, from 0."),
        (["aaab/1", "2"], "aaab/1 is a trial already.\n  Write aaab 1 2."),
    ],
)
def test_what_may_be_a_sweep_or_a_trial_is_not_guessed(runs, words, said):
    """A trial is stopped, not looked at: nothing is done where two things may be meant."""
    with pytest.raises(SweepError) as caught:
        trials_named(words[0], words[1:], runs)
    assert str(caught.value).startswith(said)


def test_controls_of_a_sweep_that_does_not_run_say_when_they_hold(runs, capsys):
    """A retry and limits wait for the resume; what cannot be asked is an error that says why."""
    called("retry", "aaaa", 1, 2, "--runs-dir", runs)
    called("set", "aaaa", "run_cap=9", "timeout=2h", "--runs-dir", runs)
    called("cancel", "aaaa/1", "--runs-dir", runs)
    with pytest.raises(SweepError, match=r"which trials of aaaa0001\? For example: sweep retry aaaa0001 3 7"):
        called("retry", "aaaa", "--runs-dir", runs)
    with pytest.raises(SweepError, match="nothing to set"):
        called("set", "aaaa", "--runs-dir", runs)
    with pytest.raises(SweepError, match="'run_cap=' is not KEY=VALUE"):
        called("set", "run_cap=", "--runs-dir", runs)
    with LedgerReader(sweep_named("aaaa", runs).ledger_path) as reader:
        assert [str(trial.state) for trial in reader.trials()] == ["finished", "canceled", "pending"]
        assert reader.sweep().state == "interrupted"


@pytest.mark.parametrize("words", [["--num-gpus", "1"], ["--address", "10.0.0.1:6379"]])
def test_gpus_of_this_machine_stand_alone(tmp_path, monkeypatch, words):
    """It is found before a sweep is made."""
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path)
    with pytest.raises(typer.BadParameter, match=" ".join(words)):
        called("run", "sweep.yaml", "--gpus", "0", *words)
    assert not (tmp_path / "sweep-runs").exists()
