"""A program that writes on where it was killed: TensorBoard's own reader and the sweep's history tell the same."""

import signal

import pytest

from orchestrator.trial.contract.events import Cause
from orchestrator.trial.contract.history import joined
from tests.trial.conftest import scalars

PRELOAD = ("torch", "torch.utils.tensorboard")

RESTARTED = """
import os, signal, sys
import orchestrator
from torch.utils.tensorboard import SummaryWriter
first, place, purge = sys.argv[1] == "first", sys.argv[2] or None, sys.argv[3]
writer = SummaryWriter(place, purge_step=None if first or purge == "no" else int(purge))
for i in range(6) if first else range(4, 8):
    writer.add_scalar("loss", i if first else 10 * i, i)
    if first:
        writer.add_scalar("acc", i, i)
        orchestrator.report({"own": i, "loss": i}, step=i) if place else None
if first:
    writer.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def restarted(shared, place, purge):
    """Run a program that is killed, and its next attempt; return that and the rows of the history by name."""
    script = shared.script(RESTARTED, "restarted.py")
    first = shared.run(script, "first", place, purge)
    assert first.ended().signal == signal.SIGKILL, first.log
    again = shared.run(script, "again", place, purge, trial=first.launch.trial, attempt=1)
    assert again.ended().cause is Cause.FINISHED, again.log
    assert "warning" not in first.log + again.log
    history = {}
    for row in joined([first.reports, again.reports]):
        for name, value in row.metrics.items():
            history.setdefault(name, []).append((row.step, value))
    return again, history


@pytest.mark.parametrize("place", ["", "logs"])
def test_what_a_further_attempt_purges_is_gone_everywhere(shared, place):
    """Also what it does not write again, in the writer's directory, in the trial's run and in the history."""
    trial, history = restarted(shared, place, "3")
    loss, acc = [(i, i if i < 3 else 10 * i) for i in (0, 1, 2, 4, 5, 6, 7)], [(i, i) for i in range(3)]
    for found in (history, scalars(trial.dir), scalars(trial.dir / place)):
        assert (found["loss"], found["acc"]) == (loss, acc)
    if place:
        own = [(i, i) for i in range(6)]
        assert (history["own"], scalars(trial.dir)["own"]) == (own, own)


@pytest.mark.parametrize("place", ["", "logs"])
def test_without_a_purge_the_history_has_what_was_written_last(shared, place):
    """TensorBoard's reader keeps what both attempts wrote; the last value of each step is the history's."""
    trial, history = restarted(shared, place, "no")
    assert history["loss"] == [(i, i if i < 4 else 10 * i) for i in range(8)]
    for run in (trial.dir, trial.dir / place):
        found = scalars(run)
        assert sorted(dict(found["loss"]).items()) == history["loss"]
        assert [step for step, _ in found["loss"]] == [0, 1, 2, 3, 4, 5, 4, 5, 6, 7]
        assert found["acc"] == history["acc"]


SLOW = """
import os, signal, sys
from torch.utils.tensorboard import SummaryWriter
writer = SummaryWriter(sys.argv[1] or None, flush_secs=600)
for i in range(5):
    writer.add_scalar("loss", i, i)
if sys.argv[2]:
    os.kill(os.getpid(), int(sys.argv[2]))
"""


@pytest.mark.parametrize("place", ["", "logs"])
def test_a_writer_that_is_flushed_seldom_is_flushed_at_the_end(shared, place):
    """Though the program never closes it."""
    trial = shared.run(shared.script(SLOW, "slow.py"), place, "")
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert scalars(trial.dir)["loss"] == scalars(trial.dir / place)["loss"] == [(i, i) for i in range(5)]


@pytest.mark.parametrize("place", ["", "logs"])
def test_what_a_kill_kept_from_being_flushed_is_reported_all_the_same(shared, place):
    """TensorBoard lacks it where the program writes into the trial's run itself, and shows nothing that was not written."""
    trial = shared.run(shared.script(SLOW, "slow.py"), place, str(int(signal.SIGKILL)))
    assert trial.ended().signal == signal.SIGKILL
    assert trial.series("loss") == [float(i) for i in range(5)]
    shown = scalars(trial.dir).get("loss", [])
    assert shown == [(i, i) for i in range(5)][: None if place else len(shown)]
