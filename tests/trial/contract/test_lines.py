import socket
import subprocess
import sys
import time

import pytest

from orchestrator.trial.contract.launch import Launch, Program, ProgramKind
from orchestrator.trial.contract.lines import Lines
from orchestrator.trial.contract.messages import Warm
from orchestrator.trial.side import boot


@pytest.fixture
def sides():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_messages_come_whole_and_in_order(sides):
    """However they are cut on their way; after the last one comes nothing any more."""
    ours, theirs = sides
    lines = Lines(ours)
    told = []
    for piece in (b'{"a": 1}\n{"b"', b": [2", b']}\n{"c": 3}\n'):
        theirs.sendall(piece)
        told.append(lines.read())
    assert told == [[{"a": 1}], [], [{"b": [2]}, {"c": 3}]]
    theirs.close()
    assert lines.read() is None


def test_a_server_ends_in_order_whose_runner_died_without_listening(sides, tmp_path):
    """What it said is unread when the socket closes: it still ends its children and itself, not by an error."""
    ours, theirs = sides
    code = boot("orchestrator.trial.fork_server.server", "main")
    command = [sys.executable, "-c", code, str(theirs.fileno())]
    place = str(tmp_path)
    program = Program(kind=ProgramKind.SCRIPT, target="train.py")
    launch = Launch("k3x9w2ab", "s", 0, 0, trial_dir=place, cwd=place, program=program, argv=("python",), config={})
    with subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE) as server:
        theirs.close()
        ours.sendall(Warm(launch=launch, bare=True).encode())
        while b"ready" not in ours.recv(4096, socket.MSG_PEEK):
            time.sleep(0.01)
        ours.close()
        assert (server.wait(timeout=60), server.stderr.read()) == (0, b"")
