"""`sweep run` on a terminal: two processes, of which one is the controller and the other shows it."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.cli.terminal import is_screen
from orchestrator.errors import ExitCode
from tests.cli.shell import SWEEP
from tests.cli.watching.test_in_tmux import Terminal
from tests.waiting import until

DIVIDED = """
import os, signal, sys, time
from pathlib import Path
import typer
from orchestrator.cli import detached
from orchestrator.layout import SweepDir
from orchestrator.watch.progress import TrialStarted

def begun(child):
    if sys.argv[1] != "leave":
        open("shown", "w").close()  # before it says so: the test may kill it from then on
    print("begun", child.pid, flush=True)
    if sys.argv[1] == "leave":
        child.let_go()
        return 0
    words = child.link.recv(1000)
    print("heard", flush=True)
    child.show_from(__import__("json").loads(words)["end"]) if words else child.show_last_line()
    return None

os.mkdir("s-abcd1234")
try:
    departure = detached.divide(begun, is_watched=True)
except typer.Exit as end:
    sys.exit(end.exit_code)
print("before", file=sys.stderr)
departure.settle(SweepDir(Path("s-abcd1234")))
signal.signal(signal.SIGHUP, lambda *_: open("hangup", "w").close())
signal.signal(signal.SIGINT, lambda *_: open("interrupt", "w").close())
print("in the log", file=sys.stderr, flush=True)
departure.event(TrialStarted(number=0, attempt=0, config={}, host="", gpu_ids=(), cold_reason=None))
while sys.argv[1] != "leave" and not os.path.exists("shown"):
    time.sleep(0.01)
print("while it is shown", file=sys.stderr, flush=True)
while not os.path.exists("go"):
    time.sleep(0.01)
if sys.argv[1] == "end":
    departure.close()
print("at the end", file=sys.stderr, flush=True)
os._exit(5)
"""


@pytest.fixture
def divided(tmp_path):
    """A process that has divided: how its parent sees it, and the pid of the child."""
    started = []

    def start(how):
        process = subprocess.Popen(
            [sys.executable, "-c", DIVIDED, how],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return process, int(process.stdout.readline().split()[1])

    yield start
    (tmp_path / "go").touch()
    for process in started:
        process.kill()
        process.communicate()


def is_gone(pid):
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def test_the_end_is_shown_and_what_the_application_has_shown_is_not(divided, tmp_path):
    """What was said before and from the end on, with the exit code; Ctrl-C goes to the controller alone."""
    process, _ = divided("end")
    process.send_signal(signal.SIGINT)
    until((tmp_path / "interrupt").exists)
    (tmp_path / "go").touch()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (5, "heard\n", "before\nin the log\nat the end\n")


def test_a_controller_that_says_no_more_leaves_its_last_line(divided, tmp_path):
    """It was killed, or told to leave at once."""
    process, _ = divided("mute")
    (tmp_path / "go").touch()
    assert process.communicate(timeout=60)[1].endswith("in the log\nat the end\n")
    assert process.returncode == 5


def test_a_controller_notices_that_its_terminal_is_gone_unless_it_was_let_go(divided, tmp_path):
    """A killed parent is a hangup; one that has left is none."""
    process, child = divided("end")
    process.kill()
    until((tmp_path / "hangup").exists)
    assert not is_gone(child)
    (tmp_path / "go").touch()
    until(lambda: is_gone(child))
    for name in ("go", "hangup", "shown"):
        (tmp_path / name).unlink()
    shutil.rmtree(tmp_path / "s-abcd1234")
    process, child = divided("leave")
    assert process.wait(60) == 0
    time.sleep(0.2)
    assert not is_gone(child)
    assert not (tmp_path / "hangup").exists()
    (tmp_path / "go").touch()
    until(lambda: is_gone(child))


def test_only_a_terminal_of_ones_own_has_room_for_an_application():
    """Not a pipe, nor the terminal of another session; a shell's is, while its command is in the foreground."""
    assert not is_screen()
    code = "from orchestrator.cli.terminal import is_screen; import os; print(is_screen()); os.setpgid(0, 0); print(is_screen())"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(
            sys.executable,
            [sys.executable, "-c", f"import os\nif os.fork(): os.wait()\nelse:\n {code}"],
            {"TERM": "xterm"},
        )
    said = b""
    while b"False" not in said:
        said += os.read(terminal, 1000)
    os.waitpid(pid, 0)
    os.close(terminal)
    assert said.split() == [b"True", b"False"]


@pytest.mark.ray
@pytest.mark.soak
@pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux")
def test_a_sweep_is_run_in_its_own_view(project):
    """Left, it goes on; resumed, Ctrl-C stops it softly; killed, it is said; its end is told on the normal screen."""
    terminal = Terminal("bash --norc", cwd=project.path, width=100, height=40)
    try:
        terminal.keys(f"{SWEEP} run sweep.yaml --concurrency 1; echo code $?", "Enter")
        terminal.until("1 running", "q quit")
        terminal.keys("q")
        terminal.until("goes on without this terminal")
        terminal.keys("Escape", "q")
        terminal.keys("d")
        terminal.until("runs without this terminal (pid ", "code 0")
        assert project.sweep("cancel").returncode == 0
        until(lambda: project.state() == "interrupted")

        terminal.keys(f"clear; {SWEEP} resume; echo code $?", "Enter")
        terminal.until("1 running", "q quit")
        terminal.keys("C-c")
        terminal.until("Ctrl-C again ends it now.", "to run again) in", f"code {ExitCode.INTERRUPTED}")

        terminal.keys(f"clear; {SWEEP} resume; echo code $?", "Enter")
        terminal.until("1 running", "q quit")
        said = project.sweep("set", "last", "concurrency=1")
        pid = int((said.stdout + said.stderr).split("(pid ")[1].split()[0])
        os.kill(pid, signal.SIGKILL)
        terminal.until("the controller was killed by signal 9", "sweep resume", "code 137")

        terminal.keys(f"clear; {SWEEP} resume; echo code $?", "Enter")
        terminal.until("1 running", "q quit")
        (project.path / "go").touch()
        terminal.until("1 finished, 1 canceled) in", "best loss", "more trials", "code 0")
    finally:
        terminal.close()
