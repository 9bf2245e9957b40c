"""Keeps Ray running on a machine, and answers for it there: the standard library alone, sent as source through ssh.

`answer` is what ``ssh HOST python`` runs; ``python keeper.py DIRECTORY`` is the loop that it leaves behind. Everything of a
cluster lies in one private directory of the user's. Every process that the loop starts has `MARK` in its environment, by
which it is found and ended, also when the loop was killed.
"""

from __future__ import annotations

import ctypes
import fcntl
import glob
import importlib.metadata
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

MARK = "SWEEP_CLUSTER_DIR"
STARTED = "Ray runtime started"
"""What `ray start` prints when it has joined or made a cluster."""

LEAST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""Between two starts, doubled as long as they fail."""

LASTED_S = 60.0
"""Ray that ran for so long had not failed to start."""

LEAVE_S = 20.0
"""How long trials here may take to save, and what they wrote to arrive, after Ray was asked to end."""

END_S = 15.0
"""How long Ray may take to end after that before it is killed."""

LARGEST_LOG = 4 << 20
PREFIX = re.compile(r"^[\d-]+ [\d:,]+\s+[A-Z]+ \S+ -- ")
REASON = re.compile(r"exit code=|^\w*(Error|Exception)\b|^ImportError|^ModuleNotFoundError")
"""What of a failing `ray start` says why, without the time and the place in Ray's source before it."""

PR_SET_PDEATHSIG = 1


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked on this machine and return what there is to say, as plain data."""
    # a home directory may be that of several machines
    place = os.path.expanduser(f"~/.sweep-cluster/{socket.gethostname()}/{question['ray_port']}")
    if question["do"] == "up":
        return _up(place, question)
    if question["do"] == "down":
        return _down(place)
    return status(place)


def status(place: str) -> dict[str, Any]:
    """Return what this machine has, and whether Ray is kept running on it."""
    state = _state(place) if _is_kept(place) else None
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "ray": _ray_version(),
        "gpus": len(glob.glob("/proc/driver/nvidia/gpus/*")),
        "address": own_address(),
        "token": _read(os.path.join(place, "token")) if state else _read(os.path.expanduser("~/.ray/auth_token")),
        "kept": state,
        "log": os.path.join(place, "log"),
        "now": time.time(),
    }


def own_address() -> str:
    """Return the address that other machines reach this one at, as Ray guesses it: of the interface that leads out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("8.8.8.8", 80))  # sends nothing
            return str(probe.getsockname()[0])
        except OSError:
            pass
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def _up(place: str, question: dict[str, Any]) -> dict[str, Any]:
    """Leave a loop behind that keeps Ray running, unless there is one."""
    if _is_kept(place):
        return status(place) | {"began": False}
    os.makedirs(place, mode=0o700, exist_ok=True)
    os.chmod(place, 0o700)
    end_marked(place)
    _write(os.path.join(place, "token"), question["token"])
    theirs = os.path.expanduser("~/.ray/auth_token")
    wrote = not os.path.exists(theirs)
    if wrote:
        os.makedirs(os.path.dirname(theirs), mode=0o700, exist_ok=True)
        _write(theirs, question["token"])
    before = _state(place) or {}
    plan = {"arguments": question["arguments"], "wrote_token": wrote or before.get("wrote_token", False)}
    _write(os.path.join(place, "plan.json"), json.dumps(plan))
    _write(
        os.path.join(place, "state.json"), json.dumps({**plan, "up": False, "since": None, "restarts": 0, "last": ""})
    )
    _write(os.path.join(place, "keeper.py"), question["source"])
    with open(os.path.join(place, "log"), "ab") as log:
        subprocess.Popen(
            [sys.executable, os.path.join(place, "keeper.py"), place],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=os.path.expanduser("~"),
            env={**os.environ, MARK: place},
        )
    until = time.monotonic() + 10
    while not _is_kept(place) and time.monotonic() < until:
        time.sleep(0.05)
    return status(place) | {"began": True}


def _down(place: str) -> dict[str, Any]:
    """End the loop with all that it started, and remove what was written here."""
    state = _state(place) or {}
    was_kept = _is_kept(place)
    if was_kept:
        _signal(state.get("pid"), signal.SIGTERM)
    until = time.monotonic() + LEAVE_S + END_S + 5
    while _is_kept(place) and time.monotonic() < until:
        time.sleep(0.1)
    ended = end_marked(place)
    theirs = os.path.expanduser("~/.ray/auth_token")
    if state.get("wrote_token") and _read(theirs) == _read(os.path.join(place, "token")):
        os.unlink(theirs)
    was_there = os.path.isdir(place)
    shutil.rmtree(place, ignore_errors=True)
    for folder in (os.path.dirname(place), os.path.dirname(os.path.dirname(place)), os.path.dirname(theirs)):
        try:
            os.rmdir(folder)
        except OSError:  # there is more in it, or it is not there
            pass
    return {"was_kept": was_kept, "was_there": was_there, "ended": ended}


def end_marked(place: str) -> int:
    """Kill every process that has this directory as its mark, but for this one; return how many there were."""
    mark = f"{MARK}={place}".encode()
    ended = 0
    for _ in range(20):
        found = [pid for pid in _pids() if pid != os.getpid() and mark in _environ(pid)]
        for pid in found:
            _signal(pid, signal.SIGKILL)
        ended += len(found)
        if not found:
            break
        time.sleep(0.1)
    return ended


class Keeper:
    """The loop: Ray runs as its child, and again whenever it ends, until somebody asks it to end."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.over = threading.Event()
        with open(os.path.join(place, "plan.json"), encoding="utf-8") as file:
            self.plan = json.load(file)
        self.state: dict[str, Any] = {
            **self.plan,
            "pid": os.getpid(),
            "up": False,
            "since": None,
            "restarts": 0,
            "last": "",
        }
        self.child: subprocess.Popen[str] | None = None
        self.heard = ""

    def keep(self) -> None:
        """Keep Ray running until SIGTERM."""
        signal.signal(signal.SIGTERM, lambda *_: self.end())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        pause_s = LEAST_PAUSE_S
        self.tell()
        while not self.over.is_set():
            began_s = time.monotonic()
            self.run()
            if self.over.is_set():
                break
            pause_s = LEAST_PAUSE_S if time.monotonic() - began_s > LASTED_S else min(2 * pause_s, LONGEST_PAUSE_S)
            self.state["restarts"] += 1
            self.tell(up=False, since=None)
            if os.fstat(1).st_size > LARGEST_LOG:
                os.ftruncate(1, 0)
            print(f"Ray ended; it starts again in {pause_s:.0f} s", flush=True)
            self.over.wait(pause_s)

    def run(self) -> None:
        """Run Ray until it ends."""
        boot = "import sys; sys.path[0] or sys.path.pop(0); from ray.scripts.scripts import main; main()"
        command = [sys.executable, "-c", boot, "start", "--block"]
        environ = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": os.path.join(self.place, "token"),
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": f"{LEAVE_S:.0f}",
            "RAY_USAGE_STATS_ENABLED": os.environ.get("RAY_USAGE_STATS_ENABLED", "0"),
            "PYTHONUNBUFFERED": "1",
        }
        environ.pop("RAY_AUTH_TOKEN", None)
        environ.pop("RAY_ADDRESS", None)
        self.child = subprocess.Popen(
            [*command, *self.plan["arguments"]],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=_dies_with_parent,
        )
        if self.over.is_set():
            self.end()
        reader = threading.Thread(target=self.hear, args=(self.child,), daemon=True)
        reader.start()
        code = self.child.wait()
        end_marked(self.place)  # what Ray left behind would hold GPUs and ports, and this pipe
        reader.join()
        self.state["last"] = self.heard or f"exit code {code}"

    def hear(self, child: subprocess.Popen[str]) -> None:
        """Pass on what Ray says, and remember when it started, and why it ended."""
        self.heard = ""
        is_reason = False
        for line in child.stdout or ():
            print(line, end="", flush=True)
            said = PREFIX.sub("", line.strip())
            if said and not is_reason:
                self.heard = said
                is_reason = REASON.search(said) is not None
            if STARTED in line:
                self.tell(up=True, since=time.time())

    def end(self) -> None:
        """Let Ray end, and with it the loop. Upon SIGTERM Ray drains its node first, for at most `LEAVE_S`."""
        self.over.set()
        child = self.child
        if child is not None and child.poll() is None:
            child.terminate()
            killer = threading.Timer(LEAVE_S + END_S, child.kill)
            killer.daemon = True
            killer.start()

    def tell(self, **changes: Any) -> None:
        """Write down how it stands."""
        self.state.update(changes)
        _write(os.path.join(self.place, "state.json"), json.dumps(self.state))


def _is_kept(place: str) -> bool:
    """Whether a loop runs: it holds a lock as long as it lives."""
    try:
        descriptor = os.open(os.path.join(place, "lock"), os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)


def _state(place: str) -> dict[str, Any] | None:
    try:
        with open(os.path.join(place, "state.json"), encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)
            return found
    except (OSError, ValueError):
        return None


def _write(path: str, text: str) -> None:
    """Write a file that nobody else can read, whole or not at all."""
    new = f"{path}.{socket.gethostname()}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(new, path)


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip() or None
    except OSError:
        return None


def _ray_version() -> str | None:
    try:
        return importlib.metadata.version("ray")
    except importlib.metadata.PackageNotFoundError:
        return None


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _environ(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def _signal(pid: int | None, number: int) -> None:
    if pid is None:
        return
    try:
        os.kill(pid, number)
    except OSError:
        pass


def _dies_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> None:
    """Hold the lock and keep Ray running."""
    place = sys.argv[1]
    lock = os.open(os.path.join(place, "lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return  # another loop was quicker
    os.set_inheritable(lock, False)
    Keeper(place).keep()


if __name__ == "__main__" and len(sys.argv) == 2:
    main()
