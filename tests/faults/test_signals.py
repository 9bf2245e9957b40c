"""Asked to end by a signal, or started twice: the sweep stays whole, and says what to do."""

import signal
import time
from pathlib import Path

import pytest

from tests.faults.real import RealSweep

pytestmark = pytest.mark.ray

DRIVER = Path(__file__).with_name("driver.py")

SIGNALS = {
    "SIGTERM": [signal.SIGTERM],
    "SIGHUP": [signal.SIGHUP],
    "one Ctrl-C": [signal.SIGINT],
    "two Ctrl-C": [signal.SIGINT] * 2,
    "three Ctrl-C": [signal.SIGINT] * 3,
}


def send(sweep, signals):
    for number in signals:
        sweep.process.send_signal(number)
        time.sleep(0.3)  # signals of one kind that come at once are one signal


def interrupt(sweep, how):
    sweep.start()
    sweep.runs()
    send(sweep, SIGNALS[how])
    assert sweep.ended() == 5, sweep.said()
    assert "Traceback" not in sweep.said()
    sweep.settled()


def test_a_second_controller_is_refused_and_sigterm_ends_the_first(real):
    """The second has exit code 6 and says who holds the sweep; the first goes on, ends with code 5, and is resumable."""
    sweep = real()
    sweep.start()
    sweep.runs()
    second = sweep.ask("resume")
    assert (second.returncode, second.stdout) == (6, "")
    assert f"controlled by pid {sweep.process.pid} on " in second.stderr
    send(sweep, SIGNALS["SIGTERM"])
    assert sweep.ended() == 5, sweep.said()
    assert "Traceback" not in sweep.said()
    sweep.settled()
    sweep.finish()


@pytest.mark.soak
def test_every_signal_ends_the_command_but_not_the_sweep(real):
    """SIGTERM, SIGHUP, Ctrl-C once to three times, one after the other on one sweep."""
    sweep = real()
    for how in SIGNALS:
        interrupt(sweep, how)
    sweep.finish()


@pytest.mark.soak
@pytest.mark.parametrize("die_at", [1, 2, 5, 6, 11, 12, 20, 31])
def test_a_controller_on_ray_killed_at_a_commit_is_resumed(real, die_at):
    """The crash points with real Ray and real trials: a few of them; all are tried on a fake pool."""
    sweep: RealSweep = real(driver=(DRIVER, die_at, "-"))
    sweep.start()
    assert sweep.ended() == -9, sweep.said()
    sweep.settled()
    again = sweep.directory
    assert sweep.exists, again
    sweep.undo_driver()
    sweep.start()
    sweep.finish()
