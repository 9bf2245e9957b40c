"""The real `sweep` command, in a process of its own, in a fork of a warm one, or in the test's."""

import atexit
import contextlib
import functools
import io
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from orchestrator.cli.main import build

SWEEP = Path(sysconfig.get_path("scripts")) / "sweep"

PROGRAM = """\
import argparse, os, time
import orchestrator
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--naps", type=int, default=0)
args = parser.parse_args()
print("hello\\x1b]0;title\\x07 \\x1b[32mgreen\\x1b[0m ä", flush=True)
if args.lr > 0.9:
    raise ValueError(f"bad lr {args.lr}")
for step in range(3):
    orchestrator.report({"loss": args.lr + 1 / (step + 1), "acc": 1 - args.lr}, step=step)
for nap in range(args.naps):
    while not os.path.exists("GO"):
        time.sleep(0.02)
print("done", flush=True)
"""

SPEC = """\
program: train.py
method: grid
metric: {name: loss, goal: minimize}
parameters:
  lr: {values: [0.5, 0.1, 0.95, 0.3]}
"""


def environ(**more):
    return {**os.environ, "NO_COLOR": "1", "WANDB_ERROR_REPORTING": "false", **more}


def write_project(path, spec=SPEC):
    """A folder with a program and a spec, as a user has it; naps last until `go` is there, wherever trials run."""
    (path / "train.py").write_text(PROGRAM.replace("GO", str(path / "go")), encoding="utf-8")
    (path / "sweep.yaml").write_text(spec, encoding="utf-8")
    return path


READS = {"best", "cancel", "compare", "export", "logs", "ls", "pause", "report", "show", "stop", "unpause"}
"""Commands that start nothing and wait for nothing: what they do is the same in a fork."""


def sweep(*words, cwd, timeout=120, **more):
    """Run the command to its end."""
    if words and words[0] in READS and "-f" not in words:
        return _forked([str(word) for word in words], cwd, environ(**more), timeout)
    return subprocess.run(
        [SWEEP, *words],
        cwd=cwd,
        env=environ(**more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def _forked(words, cwd, environment, timeout):
    with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
        said = {"out": out.name, "err": err.name}
        request = {"timeout": timeout, "words": words, "cwd": str(cwd), "environ": environment, **said}
        server = _warm()
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        code = json.loads(server.stdout.readline())
        if code is None:
            raise subprocess.TimeoutExpired([SWEEP, *words], timeout)
        # as text that comes through a pipe
        said = [io.TextIOWrapper(io.BytesIO(file.read()), encoding="utf-8").read() for file in (out, err)]
    return subprocess.CompletedProcess([SWEEP, *words], code, *said)


@functools.cache
def _warm():
    command = [sys.executable, "-P", str(Path(__file__).with_name("warm.py"))]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end():
        server.stdin.close()
        server.stdout.close()
        server.wait()

    atexit.register(end)
    return server


def start(*words, cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more):
    """Start the command in the background."""
    streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
    return subprocess.Popen([SWEEP, *words], cwd=cwd, env=environ(**more), text=True, **streams)


def called(*words, err=None):
    """Run the command in this process and return what it prints; errors come as they are raised."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err or io.StringIO()):
        build()([str(word) for word in words], prog_name="sweep", standalone_mode=False)
    return out.getvalue()
