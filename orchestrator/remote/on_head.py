"""A request of another machine, carried out here: in the home directory, with the sweeps there, on the cluster that runs here."""

import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from orchestrator.remote import frames
from orchestrator.remote.landing import land
from orchestrator.remote.request import LAND, SEND, Request, decode
from orchestrator.remote.sending import send, wanted

RUNS_DIR = "sweep-runs"
"""Where submitted sweeps are kept, in the home directory, unless SWEEP_RUNS_DIR says otherwise."""


def carry_out(text: str, sweep: Sequence[str], version: str) -> int:
    """Do what a request asks for, and return its exit code; mostly this process becomes the command itself.

    Args:
        text: The request.
        sweep: The command line that `sweep` is, here.
        version: Of this package.

    Raises:
        SweepError: It cannot be done.
    """
    request = decode(text)
    if request.is_framed:
        return _framed([*sweep, "_head", replace(request, is_framed=False).encode()])
    os.environ.update(environment(os.environ, request))
    runs = Path(os.environ["SWEEP_RUNS_DIR"])
    if request.words[0] == SEND:
        return _send(runs)
    return _become(request, sweep, runs, version)


def _send(runs: Path) -> int:
    os.chdir(Path.home())
    with os.fdopen(os.dup(1), "wb") as out:
        send(wanted(sys.stdin.buffer), runs, out)
    return 0


def _become(request: Request, sweep: Sequence[str], runs: Path, version: str) -> NoReturn:
    words = list(request.words)
    if words[0] == LAND:
        words = [*land(sys.stdin.buffer, runs, version), *words[1:]]
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
    else:
        os.chdir(Path.home())
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sweep[0], [*sweep, *words])  # noqa: S606 - as S603: no shell


def environment(environ: Mapping[str, str], request: Request) -> dict[str, str]:
    """Return what commands on the head find set: where sweeps are, the cluster here, and how wide the terminal is."""
    runs = request.runs_dir or environ.get("SWEEP_RUNS_DIR") or RUNS_DIR
    found = {"SWEEP_RUNS_DIR": str(Path.home() / Path(runs).expanduser())}
    if request.columns is not None:
        found["COLUMNS"] = str(request.columns)
    ray_dir = Path(environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray")
    if "RAY_ADDRESS" not in environ and (ray_dir / "ray_current_cluster").is_file():
        found["RAY_ADDRESS"] = "auto"
    return found


def _framed(command: Sequence[str]) -> int:
    """Run a command and print what it says in frames, as it comes, and its exit code last."""
    streams = {"stdin": 0, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **streams) as running, selectors.DefaultSelector() as selector:  # type: ignore[call-overload]
        signal.signal(signal.SIGTERM, lambda *_: running.terminate())
        for number, pipe in ((1, running.stdout), (2, running.stderr)):
            selector.register(pipe, selectors.EVENT_READ, number)
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, frames.MOST)
                if not data:
                    selector.unregister(key.fileobj)
                    continue
                _print(frames.Said(key.data, data))
        code = running.wait()
    _print(frames.Ended(code if code >= 0 else 128 - code))
    return 0


def _print(frame: "frames.Said | frames.Ended") -> None:
    sys.stdout.write(frames.encode(frame))
    sys.stdout.flush()
