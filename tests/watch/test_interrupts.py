"""Ctrl-C in a real process."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from orchestrator.errors import ExitCode

PROGRAM = """
import sys, time
from orchestrator.watch.interrupts import Interrupts
with Interrupts("sweep resume abcd1234") as count:
    if "watched" in sys.argv:
        count()
    print("ready", flush=True)
    seen = 0
    while True:
        time.sleep(0.01)
        if count._count > seen:
            seen = count._count
            print("count", seen, flush=True)
"""


@pytest.fixture
def program():
    """Return `start(*words, **options)`: the program, once it is ready."""
    started = []

    def start(*words, prefix=(), **options):
        process = subprocess.Popen(
            [*prefix, sys.executable, "-c", PROGRAM, *words],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options,
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def send(process, number):
    process.send_signal(number)
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_two_are_counted_and_the_third_leaves(program, number):
    """Whichever signal asks; the exit code says that the sweep can be resumed, and the last line how."""
    process = program("watched")
    assert send(process, number) == "count 1\n"
    assert send(process, number) == "count 2\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED
    assert (out, err) == ("", "\nLeft at once. Go on with: sweep resume abcd1234\n")


def test_the_first_is_answered_before_anybody_looks(program):
    """While Ray starts, the controller cannot say anything yet."""
    process = program()
    assert send(process, signal.SIGINT) == "count 1\n"
    process.kill()
    assert "Ctrl-C twice more leaves at once" in process.stderr.read()


def test_what_was_ignored_stays_ignored(program):
    """`nohup sweep run` survives the terminal."""
    process = program("watched", prefix=["nohup"])
    process.send_signal(signal.SIGHUP)
    assert send(process, signal.SIGINT) == "count 1\n"


def test_leaving_shows_the_cursor_again(program):
    """The live view had hidden it and cannot clean up any more."""
    controller, terminal = pty.openpty()
    process = program("watched", stderr=terminal)
    os.close(terminal)
    send(process, signal.SIGINT)
    send(process, signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.wait(30)
    assert os.read(controller, 1000).startswith(b"\x1b[?25h\r\nLeft at once.")
    os.close(controller)


def test_signals_are_given_back():
    """Afterwards they do what they did."""
    from orchestrator.watch.interrupts import Interrupts

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Interrupts("") as count:
        os.kill(os.getpid(), signal.SIGTERM)
        assert count() == 1
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
