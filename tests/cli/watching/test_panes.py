"""What stands below the table, drawn from ledgers that are written as a controller writes them."""

import time
from dataclasses import replace

import pytest

from orchestrator.cli.watching.followed import Followed
from orchestrator.cli.watching.looks import DARK
from orchestrator.cli.watching.panes import PANES, Wanted
from orchestrator.cli.watching.weighing import Weighing
from orchestrator.errors import SweepError
from orchestrator.ledger.records import Asker, TrialState
from orchestrator.trial.contract.resource_use import Look, Use
from tests.cli.watching.live import SPEC, Live


@pytest.fixture
def live(tmp_path):
    """Five trials: 0 to 2 have passed the first rung, of which 2 was stopped at the second; 3 and 4 run."""
    found = Live(tmp_path)
    for lr, values in ((0.1, 6), (0.2, 5), (0.3, 4), (0.4, 1), (0.5, 2)):
        number = found.begin(f"log of {lr}\n", lr=lr)
        found.report(number, *(lr + 1.0 / (i + 1) for i in range(values)))
        found.report(number, 0.9, name="acc")
    found.end(0), found.end(1), found.end(2, TrialState.STOPPED, "rung 4: not in the top half")
    yield found
    found.close()


def drawn(live, name, *, number=0, marked=(), which=0, width=90, height=12):
    followed, pane = Followed(live.dir, clock=live.clock), PANES[name](live.dir)
    try:
        picture = followed.look()
        wanted = Wanted(number=number, marked=marked, which=which, width=width, height=height, palette=DARK)
        return pane.draw(picture, wanted).plain
    finally:
        pane.close()
        followed.close()


def found_out(live):
    """The importance pane, once it knows."""
    followed, pane = Followed(live.dir, clock=live.clock), PANES["importance"](live.dir)
    try:
        picture = followed.look()
        wanted = Wanted(number=0, marked=(), which=0, width=90, height=12, palette=DARK)
        while (text := pane.draw(picture, wanted).plain).startswith("finding out"):
            time.sleep(0.05)
        return text
    finally:
        pane.close()
        followed.close()


def test_curves_of_what_is_marked(live):
    """Else of the trial at the cursor beside the best; of other metrics as well, one after the other."""
    assert drawn(live, "curves", number=3).startswith("● 3 1.4  ● 0 (best) 0.2667")
    marked = drawn(live, "curves", marked=(2, 1))
    assert marked.startswith("● 2 0.55  ● 1 0.4")
    assert "loss by step" in marked
    other = drawn(live, "curves", marked=(2, 1), which=1)
    assert other.startswith("● 2 0.9  ● 1 0.9")
    assert "acc by step" in other
    assert "loss by step" in drawn(live, "curves", which=2)


def test_rungs(live):
    """Who reached which, who was ended there and who runs there; best and cut as the rule has them."""
    lines = drawn(live, "rungs", width=110).split("\n")
    assert lines[0].startswith("hyperband, eta 2: the top half goes on at each rung")
    assert lines[0].endswith("1 trial ended early")
    rows = [line.split() for line in lines[2:]]
    assert rows[0] == ["2", "4", "0", "0.6", "0.8", "4"]
    assert rows[1] == ["4", "3", "1", "0.35", "0.45"]
    assert rows[2] == ["8", "0", "0", "-", "-"]
    assert len(rows) == 3


@pytest.mark.parametrize(
    ("early", "expected"),
    [
        ("", "every trial runs to its end"),
        ("early_terminate: {type: median, min_iter: 2}", "median: 0 trials ended early so far; this rule has no rungs"),
    ],
)
def test_sweeps_without_rungs(tmp_path, early, expected):
    """It is said."""
    live = Live(tmp_path, SPEC.replace("early_terminate: {type: hyperband, min_iter: 2, eta: 2}", early))
    live.begin()
    assert expected in drawn(live, "rungs")
    live.close()


def test_slots(live):
    """What runs where and since when, what is free, what is about to end."""
    live.now += 5.0
    live.ledger.decide(4, Asker.USER, "its user ended it")
    lines = drawn(live, "slots").split("\n")
    assert lines[0] == "2 of 3 slots in use"
    assert lines[1].startswith("box GPU 0  trial 3        5.0s        1.4")
    assert lines[2].split()[:5] == ["box", "GPU", "0", "trial", "4"]
    assert lines[2].endswith("ending: its user ended it")
    live.close(None)
    assert drawn(live, "slots").startswith("nobody runs the sweep")


def test_what_running_trials_use(live):
    """Now where they run, in all in a trial's own pane; of GPUs that nobody can read it is said why."""
    use = Use(n_looks=2, seconds=10.0, cpus=1.97, rss_bytes=3 << 30, n_processes=2, problem="NVML does not start")
    place = live.dir.trial(4)
    place.path.mkdir(parents=True, exist_ok=True)
    place.use_path.write_text(Look(attempt=0, time=1e9, now=replace(use, cpus=0.5), so_far=use).encode())
    assert "0.5 cores 3 GiB, GPU use not known" in drawn(live, "slots", width=120)
    assert "used 1.97 CPU cores, at most 3 GiB (RSS) by up to 2 processes; GPU use is not known" in drawn(
        live, "trial", number=4
    )


def test_a_trial(live):
    """How it went, its attempts, its config, its last metrics and where it is."""
    text = drawn(live, "trial", number=2)
    assert text.startswith("◼ trial 2 stopped  0.55 at row 4")
    for part in ("rung 4: not in the top half", "attempt 0:", "lr: 0.3", "act: relu", "acc 0.9", str(live.dir.path)):
        assert part in text


def test_importance(live):
    """It is found out beside; too few trials are said to be that, of enough there is a share per parameter."""
    assert "too few" in found_out(live)
    for i in range(8):
        number = live.begin(lr=i / 8, act=("relu", "tanh")[i % 2])
        live.report(number, (i / 8 - 0.5) ** 2)
        live.end(number)
    lines = found_out(live).split("\n")
    assert lines[0].startswith("share of the variance of loss")
    assert {line.split()[0] for line in lines[1:]} == {"lr", "act"}


def test_importance_runs_nothing_of_the_user(live, tmp_path, monkeypatch):
    """A file of the working directory that is named like a library is not that library."""
    (tmp_path / "random.py").write_text("raise SystemExit('not the library')")
    monkeypatch.chdir(tmp_path)
    assert "too few" in found_out(live)


def test_importance_that_was_killed(live):
    """It is said each time that the pane is drawn, until more is known; the pane is closed as any other."""
    weighing = Weighing(live.dir, 0)
    weighing.weights(3)
    weighing._process.kill()
    weighing._process.wait()
    for _ in range(2):
        with pytest.raises(SweepError, match="importance cannot be told: it ended with exit code -9"):
            weighing.weights(3)
    weighing.close()


def test_nothing_to_draw(tmp_path):
    """A sweep without trials, and one without a metric."""
    text = SPEC.replace("metric:", "# metric:").replace("early_", "# early_")
    live = Live(tmp_path, text)
    for name in PANES:
        assert drawn(live, name, number=None)
    live.close()
