"""A runner without fork server or capture: the program's argv as a process, whose reports are lines of JSON in a file.

It isolates what the pool does from what a trial's process does.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from orchestrator.trial.contract.events import Cause, Ended, Report, Reported, Started

LIBC = ctypes.CDLL(None)


class PlainRunner:
    def __init__(self):
        self._lock = threading.Lock()
        self._running = {}
        self._events = []

    def launch(self, launch):
        path = Path(launch.trial_dir) / f"reports-{launch.attempt}.jsonl"
        env = os.environ | dict(launch.env) | {"REPORTS": str(path)}
        if launch.gpu_ids is not None:
            env["CUDA_VISIBLE_DEVICES"] = ",".join(launch.gpu_ids)
        if launch.cpus is not None:
            env["OMP_NUM_THREADS"] = str(int(launch.cpus))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        process = subprocess.Popen(
            launch.argv,
            env=env,
            cwd=launch.cwd,
            stdin=subprocess.DEVNULL,
            stdout=(path.parent / "output.log").open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: LIBC.prctl(1, signal.SIGKILL),  # noqa: PLW1509  one system call, no lock
        )
        fence = {"trial": launch.trial, "attempt": launch.attempt}
        gpu_ids = launch.gpu_ids or ()
        started = Started(**fence, time=time.time(), pid=process.pid, host=socket.gethostname(), gpu_ids=gpu_ids)
        with self._lock:
            self._running[launch.trial, launch.attempt] = _Process(fence, process, path.open("rb"))
            self._events.append(started)

    def stop(self, trial, attempt, *, kill=False, grace_s=None):
        found = self._running.get((trial, attempt))
        if found is not None:
            found.asked = True
            os.killpg(found.process.pid, signal.SIGKILL if kill else signal.SIGTERM)

    def tell(self, event):
        with self._lock:
            self._events.append(event)

    def poll(self, timeout_s):
        deadline = time.monotonic() + timeout_s
        while True:
            with self._lock:
                for key, running in list(self._running.items()):
                    self._events += running.news()
                    if running.ended:
                        del self._running[key]
                events, self._events = self._events, []
            if events or time.monotonic() > deadline:
                return events
            time.sleep(0.002)

    def close(self):
        for running in self._running.values():
            os.killpg(running.process.pid, signal.SIGKILL)


class _Process:
    def __init__(self, fence, process, file):
        self.fence, self.process, self.file = fence, process, file
        self.asked = self.ended = False
        self.n_reports = 0
        self.rest = b""

    def news(self):
        code = self.process.poll()
        whole, _, self.rest = (self.rest + self.file.read()).rpartition(b"\n")  # a line may be half written
        lines = [json.loads(line) for line in whole.splitlines()]
        if lines:
            first, self.n_reports = self.n_reports, self.n_reports + len(lines)
            now = time.time()
            reports = [Report(index=first + i, time=now, step=None, metrics=row) for i, row in enumerate(lines)]
            yield Reported(**self.fence, reports=tuple(reports))
        if code is not None:
            self.ended = True
            self.file.close()
            yield Ended(**self.fence, time=time.time(), cause=self._cause(code), **_status(code))

    def _cause(self, code):
        if self.asked:
            return Cause.STOPPED
        return Cause.KILLED if code < 0 else Cause.FAILED if code else Cause.FINISHED


def _status(code):
    return {"exit_code": None, "signal": -code} if code < 0 else {"exit_code": code}
