import dataclasses
import io
import json
import os
import pty
import re
import subprocess
import sys
import termios
import threading

import pytest
from rich.console import Console

from orchestrator.errors import ExitCode
from orchestrator.ledger.records import TrialState
from orchestrator.trial.contract.events import Cause
from orchestrator.watch.json_lines import JsonView
from orchestrator.watch.live import LiveView, make_view
from orchestrator.watch.outlet import Outlet
from orchestrator.watch.plain import QUIET_S, PlainView
from orchestrator.watch.progress import NewBest, Note, SweepEnded, TrialRequeued, TrialStarted
from orchestrator.watch.text import stale_size
from tests.watch.shown import CONFIG, ENDED, PROGRESS, ended

STARTED = TrialStarted(number=6, attempt=0, config=CONFIG, host="box", gpu_ids=("0",), cold_reason=None)
EVENTS = [
    STARTED,
    NewBest(number=6, value=0.7, step=1),
    NewBest(number=6, value=0.8, step=2),
    NewBest(number=6, value=0.9, step=3),
    *ENDED,
    Note(text="asked to pause from another terminal"),
    TrialRequeued(number=11, reason="node lost"),
    ended(11, value=0.5),
    SweepEnded(exit_code=ExitCode.DONE, reason="done"),
]


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.mark.parametrize("verbose", [False, True])
def test_golden_plain_lines(golden, verbose):
    """One line per ended trial with its place in the sweep; an improvement is told once, with the end of its trial."""
    out = io.StringIO()
    plain = PlainView(Outlet(out), verbose=verbose)
    for event in EVENTS:
        plain.event(event)
    plain.close()
    golden(f"plain{'-verbose' if verbose else ''}.txt", out.getvalue())


def test_a_plain_view_speaks_up_less_and_less_often():
    """A night of silent training is some dozens of lines, not thousands."""
    out, clock = io.StringIO(), Clock()
    plain = PlainView(Outlet(out), verbose=False, clock=clock)
    while clock.now_s < 12 * 3600:
        plain.refresh(PROGRESS)
        clock.now_s += 0.2
    plain.close()
    lines = out.getvalue().splitlines()
    assert 60 < len(lines) < 90
    assert "9/20 done" in lines[0]


def test_a_plain_view_that_has_just_spoken_keeps_quiet():
    """Where the sweep stands follows from the lines before."""
    out, clock = io.StringIO(), Clock()
    plain = PlainView(Outlet(out), verbose=False, clock=clock)
    for _ in range(10):
        clock.now_s += 20
        plain.event(ENDED[0])
        plain.refresh(PROGRESS)
    plain.close()
    assert len(out.getvalue().splitlines()) == 10


def test_json_is_one_object_per_event():
    """Named by its event, with everything in it."""
    out = io.StringIO()
    shown = JsonView(Outlet(out))
    for event in EVENTS:
        shown.event(event)
    shown.close()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["event"] for line in lines[:2]] == ["trial_started", "new_best"]
    assert lines[4]["trial"]["value"] == 0.9
    assert lines[-1] | {"time": 0} == {"event": "sweep_ended", "time": 0, "exit_code": 0, "reason": "done"}


def test_a_live_view_leaves_the_terminal_as_it_was():
    """The table is taken away, the cursor shown again; what should stay was printed above."""
    out = io.StringIO()
    outlet = Outlet(out)
    live = LiveView(Console(file=outlet, force_terminal=True, width=80, height=24, color_system=None), outlet)
    live.refresh(PROGRESS)
    for event in EVENTS:
        live.event(event)
    live.refresh(PROGRESS)
    live.close()
    live.close()
    text = out.getvalue()
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert text.rindex("\x1b[2K") > text.rindex("Ctrl-C stops")
    assert "[8/20] trial 7 failed (out of GPU memory)" in text


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({"TERM": "xterm"}, "LiveView"),
        ({"TERM": "dumb"}, "PlainView"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "LiveView"),
    ],
)
def test_the_view_suits_the_terminal(environ, kind):
    """A terminal that cannot move its cursor gets lines; colours are a matter of taste."""
    code = (
        "from orchestrator.watch.live import make_view; print(type(make_view(as_json=False, verbose=False)).__name__)"
    )
    controller, terminal = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=terminal, env=environ, text=True, check=True
    )
    os.close(terminal)
    os.close(controller)
    assert done.stdout.strip() == kind


def test_a_live_view_asks_the_terminal_for_its_size(monkeypatch):
    """COLUMNS and LINES were exported once, and the window has changed; where the terminal does not know, they count."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w", encoding="utf-8") as stream:
        assert stale_size(stream) == ()
        termios.tcsetwinsize(terminal, (20, 60))
        monkeypatch.setattr(sys, "stderr", stream)
        view = make_view(as_json=False, verbose=False)
        assert "COLUMNS" not in view._console._environ
        monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    os.close(controller)
    assert stale_size(stream) == ()


def test_what_is_no_terminal_gets_lines(monkeypatch):
    """Pipes, files, CI."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(make_view(as_json=False, verbose=False), PlainView)
    assert isinstance(make_view(as_json=True, verbose=False), JsonView)


PIPE = """
import sys
from orchestrator.watch.outlet import Outlet
from orchestrator.watch.json_lines import JsonView
from orchestrator.watch.progress import Note
shown = JsonView(Outlet(sys.stdout))
for number in range(20000):
    shown.event(Note(text=f"note {number}"))
shown.close()
print("survived", file=sys.stderr)
"""


def test_a_reader_that_leaves_does_not_end_the_sweep():
    """`sweep run --json | head -1`: the sweep goes on, and nothing complains at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", PIPE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert "note 0" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == "survived\n"
        assert process.wait() == 0


def test_a_reader_that_is_slow_gets_everything():
    """`sweep run --json | less`: the command ends when all of it is read."""
    with subprocess.Popen(
        [sys.executable, "-c", PIPE.replace("shown.close()\n", "")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr.readline() == "survived\n"  # nothing was read so far
        assert process.poll() is None
        lines = process.stdout.read().splitlines()
        assert process.wait() == 0
    assert [json.loads(line)["text"] for line in lines] == [f"note {n}" for n in range(20000)]


def test_a_closed_stream_is_no_error():
    """As when a terminal has hung up."""
    stream = io.StringIO()
    stream.close()
    outlet = Outlet(stream)
    outlet.write("x")
    outlet.drain()
    assert not outlet.is_behind


def test_a_terminal_that_stands_still_is_not_waited_for():
    """Ctrl-S, or a connection that is down: a thousand redraws come back at once; then the latest is drawn, not all of them."""
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w", encoding="utf-8") as stream:
        outlet = Outlet(stream)
        live = LiveView(Console(file=outlet, force_terminal=True, width=80, height=24, color_system=None), outlet)
        for n in range(1000):
            live.refresh(PROGRESS)
            if n % 200 == 0:
                live.event(Note(text=f"note {n}"))
        seen = ""
        while "note 800" not in seen:
            seen += os.read(controller, 65536).decode(errors="replace")
        outlet.drain()
        live.refresh(dataclasses.replace(PROGRESS, name="later"))
        while "later" not in seen:
            seen += os.read(controller, 65536).decode(errors="replace")
        threading.Thread(target=live.close).start()
        while "\x1b[?25h" not in seen:
            seen += os.read(controller, 65536).decode(errors="replace")
    os.close(controller)
    assert [int(n) for n in re.findall(r"note (\d+)", seen)] == [0, 200, 400, 600, 800]
    assert seen.count("Ctrl-C stops") < 20


def test_only_trials_that_came_to_something_are_the_best_so_far():
    """A failed trial that had been ahead is not called the best."""
    out = io.StringIO()
    plain = PlainView(Outlet(out), verbose=False)
    plain.event(NewBest(number=7, value=0.99, step=1))
    plain.event(ended(7, TrialState.FAILED, 0.99, error="ValueError"))
    plain.close()
    assert "best" not in out.getvalue()
    assert tuple(sorted(QUIET_S)) == QUIET_S


@pytest.mark.parametrize(
    ("cause", "error", "reason", "said"),
    [
        (Cause.NODE_LOST, "node b2 is gone", "node lost", "node lost: node b2 is gone"),
        (Cause.NODE_LOST, "node b2 is gone", None, "node lost: node b2 is gone"),
        (Cause.NODE_LOST, "node b2 is gone", "interrupted", "interrupted"),
        (Cause.FAILED, "ValueError: lr", "retry 1 of 2", "retry 1 of 2"),
        (Cause.NODE_LOST, None, "node lost", "node lost"),
        (None, None, None, "it was lost"),
    ],
)
def test_what_was_lost_is_named_with_its_host(cause, error, reason, said):
    """Where a node or a worker went; who asked for an end, and a retry of a failure, need no such thing."""
    assert TrialRequeued.after(2, cause=cause, error=error, reason=reason, on_resume=False).reason == said
