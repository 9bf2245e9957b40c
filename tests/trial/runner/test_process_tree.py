"""What real processes use is counted once, whoever of them has ended."""

import signal
import subprocess
import sys

import pytest

from orchestrator.trial.runner import process_tree
from orchestrator.trial.runner.process_tree import ProcessTree

BURN = "import time\nuntil = time.process_time() + {}\nwhile time.process_time() < until: pass\n"

FAMILY = f"""
import os, subprocess, sys
burn = {BURN!r}
for _ in range(2):
    subprocess.run([sys.executable, "-c", burn.format(0.3)])
stray_code = burn.format(0.3) + "print('up', flush=True)\\ninput()"
stray = subprocess.Popen([sys.executable, "-c", stray_code], stdin=subprocess.PIPE, start_new_session=True)
exec(burn.format(0.1))
print("up", flush=True)
input()
subprocess.run([sys.executable, "-c", burn.format(0.3)])
stray.communicate(b"on")
print("done", flush=True)
input()
"""


def burned(tree):
    return tree.look().cpu_s


@pytest.mark.parametrize("tells", [True, False], ids=["children known", "every process looked at"])
def test_every_process_counts_once(monkeypatch, tmp_path, tells):
    """Those that ended before a look, between two, and one in a session of its own."""
    if not tells:
        monkeypatch.setattr(process_tree, "TELLS_CHILDREN", tmp_path / "nothing")
    command, pipe = [sys.executable, "-c", FAMILY], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as leader:
        tree = ProcessTree(leader.pid)
        assert [leader.stdout.readline() for _ in range(2)] == 2 * [b"up\n"]
        first = tree.look()
        assert 0.9 < first.cpu_s < 2.0  # 1.0, and what starting four interpreters takes
        assert leader.pid in first.pids
        assert first.rss_bytes > 8 << 20
        leader.stdin.write(b"\n")
        leader.stdin.flush()
        assert leader.stdout.readline() == b"done\n"
        assert 0.25 < burned(tree) < 0.8  # what the stray one used was counted before
        assert burned(tree) < 0.1
        leader.kill()
    assert tree.look() is None


def test_what_lost_its_parent_is_still_the_trials():
    """A shell that ended leaves what it started to whoever adopts it."""
    leader = subprocess.Popen(["sleep", "100"], start_new_session=True)
    tree = ProcessTree(leader.pid)
    assert tree.look().pids == {leader.pid}
    orphan = subprocess.Popen(["sleep", "100"], process_group=None, start_new_session=False)
    try:
        tree._known[orphan.pid] = process_tree._stat(orphan.pid)  # as if it had been seen below
        leader.send_signal(signal.SIGKILL)
        leader.wait()
        assert tree.look().pids == {orphan.pid}
    finally:
        orphan.kill()
        orphan.wait()
    assert tree.look() is None
