"""`sweep watch` on a real terminal, of a sweep that really runs; and where there is no terminal."""

import os
import shutil
import subprocess

import pytest

from tests.cli.shell import SWEEP, environ
from tests.waiting import until

pytestmark = pytest.mark.ray


class Terminal:
    """A terminal of tmux's in which one command runs; its server is this test's own.

    COLUMNS and LINES are another terminal's, as after `docker exec -e COLUMNS`.
    """

    def __init__(self, command, *, cwd, width, height):
        self._tmux = ["tmux", "-L", f"sweep-test-{os.getpid()}", "-f", "/dev/null"]
        size = ["-x", str(width), "-y", str(height)]
        subprocess.run(
            [*self._tmux, "new-session", "-d", *size, "-s", "w", command],
            cwd=cwd,
            env=environ(LANG="C.UTF-8", COLUMNS="80", LINES="24"),
            check=True,
        )

    def keys(self, *keys):
        subprocess.run([*self._tmux, "send-keys", "-t", "w", *keys], check=True)

    def resize(self, width, height):
        subprocess.run([*self._tmux, "resize-window", "-t", "w", "-x", str(width), "-y", str(height)], check=True)

    def shown(self):
        return subprocess.run(
            [*self._tmux, "capture-pane", "-p", "-t", "w"], capture_output=True, text=True, check=True
        ).stdout

    def until(self, *texts):
        try:
            until(lambda: all(text in self.shown() for text in texts))
        except AssertionError as error:
            raise AssertionError(f"{texts} were never seen in\n{self.shown()}") from error

    def close(self):
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)


@pytest.mark.soak  # half a minute; `test_app` presses the same keys
@pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux")
def test_a_sweep_is_watched_and_steered(project):
    """Its trials and a log are there; a trial is canceled, the sweep paused and let go on; its end is said; leaving leaves 0."""
    project.detached("run", "sweep.yaml", "--concurrency", "1")
    command = f"{SWEEP} watch last; echo it left $?; sleep 60"
    terminal = Terminal(command, cwd=project.path, width=100, height=30)
    try:
        terminal.until("running", "▶", "green")
        terminal.keys("p")
        terminal.until("paused")
        terminal.resize(60, 20)
        terminal.keys("x")
        terminal.until("Cancel trial 0?")
        terminal.keys("y")
        terminal.until("⊘", "0 running")
        terminal.keys("p")
        terminal.until("1 running")
        (project.path / "go").touch()
        terminal.until("finished", "✓")
        terminal.keys("q")
        terminal.until("it left 0")
    finally:
        terminal.close()


def test_without_a_terminal(project):
    """It prints what `attach` prints: the end of a sweep that is over, and its exit code."""
    (project.path / "go").touch()
    project.detached("run", "sweep.yaml")
    until(lambda: project.state() == "finished")
    watched, attached = project.sweep("watch"), project.sweep("attach")
    assert (watched.returncode, watched.stdout) == (attached.returncode, attached.stdout)
    assert "2 finished" in watched.stderr
    wrong = project.sweep("watch", "nope")
    assert wrong.returncode == 2
    assert "no sweep 'nope'" in wrong.stderr
