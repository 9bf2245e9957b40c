"""A real sweep with its whole family of processes: started, found, killed, resumed, and looked for afterwards."""

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import uuid
from pathlib import Path

import psutil

from tests.faults.checker import check, marked
from tests.waiting import until

SWEEP = Path(sys.executable).with_name("sweep")

PROGRAM = """
import argparse, time
from orchestrator import report
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
x = parser.parse_args().x
for step in range(5):
    time.sleep(0.1)
    report({"loss": (x - 0.3) ** 2 + 1 / (step + 1)}, step=step)
"""

WANDB_PROGRAM = """
import argparse, time
import wandb
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
args = parser.parse_args()
with wandb.init(config=vars(args)) as run:
    for step in range(5):
        time.sleep(0.1)
        run.log({"loss": (args.x - 0.3) ** 2 + 1 / (step + 1)})
"""

SPEC = """
program: train.py
method: random
metric: {name: loss, goal: minimize}
run_cap: %d
parameters:
  x: {min: 0.0, max: 1.0}
orchestrator: {seed: 7, retries: %d, wandb: %s, resources: {cpu: 1}}
"""

PATIENCE_S = 150.0


class Family:
    """The processes of a sweep by their part in it, found from the controller down, or by a mark in their environment."""

    def __init__(self, mark: str):
        self.mark = mark
        self.known: set[psutil.Process] = set()

    def of(self, part: str) -> list[psutil.Process]:
        """Return the living processes of a part: gcs, raylet, worker, server, trial or core."""
        found = []
        for process in self.all():
            with contextlib.suppress(psutil.Error):
                if _part(process) == part:
                    found.append(process)
        return found

    def all(self) -> set[psutil.Process]:
        """Return every living process of the sweep; each is remembered."""
        for pid in marked(self.mark):
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                self.known |= {process, *process.children(recursive=True)}
        return {process for process in self.known if _lives(process)}

    def gone(self, *, agents=True):
        """Wait until none is left. Ray's agents of a node that died while it started take a minute to notice."""
        until(lambda: not self._left(agents), lambda: [_described(p) for p in self._left(agents)])

    def _left(self, agents):
        return [process for process in self.all() if agents or _part(process) != "agent"]


def _part(process):
    try:
        command = process.cmdline()
    except psutil.Error:
        return None
    if not command:
        return None
    if "Agent" in command[0] or any("agent" in Path(word).parts for word in command[1:4]):
        return "agent"
    if any("orchestrator.trial.fork_server.server" in word for word in command):
        with contextlib.suppress(psutil.Error):  # either may end meanwhile
            if (parent := process.parent()) is not None and parent.cmdline() == command:
                return "trial"
        return "server"
    name = Path(command[0]).name
    return {"gcs_server": "gcs", "raylet": "raylet", "wandb-core": "core", "ray::Worker": "worker"}.get(
        name.partition(".")[0]
    )


def _lives(process):
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _described(process):
    with contextlib.suppress(psutil.Error):
        return f"{process.pid} {' '.join(process.cmdline())[:120]}"
    return str(process.pid)


class RealSweep:
    """One sweep in a directory of its own, run by the installed command."""

    def __init__(
        self,
        directory: Path,
        *,
        run_cap=100_000,
        program=PROGRAM,
        wandb="off",
        retries=0,
        spec=None,
        options=(),
        driver=None,
    ):
        self.directory = directory
        (directory / "train.py").write_text(program)
        (directory / "sweep.yaml").write_text(spec or SPEC % (run_cap, retries, wandb))
        self.family = Family(f"FAULTS={uuid.uuid4().hex}")
        self._options = (
            ["--num-cpus", "2", "--num-gpus", "0", *options] if "--address" not in options else list(options)
        )
        self._command = [str(SWEEP)] if driver is None else [sys.executable, *map(str, driver)]
        self.process: subprocess.Popen | None = None

    def undo_driver(self) -> None:
        """Run the command as it is from now on."""
        self._command = [str(SWEEP)]

    @property
    def path(self) -> Path | None:
        """The sweep's directory; None while it is not completely there."""
        return (
            next(iter((self.directory / "sweep-runs").glob("*/ledger.sqlite")), Path("none/none")).parent
            if self.exists
            else None
        )

    @property
    def exists(self) -> bool:
        return bool(self.query("SELECT 1 FROM sweep"))

    def query(self, text):
        """Return rows of the ledger; none while there is none."""
        for path in (self.directory / "sweep-runs").glob("*/ledger.sqlite"):
            with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=30)) as ledger:
                return ledger.execute(text).fetchall()
        return []

    def start(self) -> None:
        """Run the sweep, or go on with it where there is one."""
        argv = ["resume"] if self.exists else ["run", "sweep.yaml"]
        name, _, value = self.family.mark.partition("=")
        out, err = ((self.directory / part).open("ab") for part in ("out", "err"))
        self.said_from = (self.directory / "err").stat().st_size
        self.process = subprocess.Popen(
            [*self._command, *argv, *self._options, "--json"],
            cwd=self.directory,
            env=os.environ | {name: value},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        out.close()
        err.close()

    def ended(self) -> int:
        """Wait for the command's end; return its exit code (minus the signal)."""
        return self.process.wait(timeout=PATIENCE_S)

    def said(self) -> str:
        """What the last command said on standard error."""
        return (self.directory / "err").read_bytes()[self.said_from :].decode()

    def ask(self, *argv) -> subprocess.CompletedProcess:
        """Run another `sweep` command on it, from another terminal."""
        command = [str(SWEEP), *argv]
        return subprocess.run(
            command, check=False, cwd=self.directory, capture_output=True, text=True, timeout=PATIENCE_S
        )

    def runs(self, at_least=1) -> None:
        """Wait until so many more trials have finished while the command runs: one that a kill has lost goes no further."""
        finished = "SELECT count(*) FROM attempts WHERE cause = 'finished'"
        before = self.query(finished)[0][0] if self.exists else 0
        until(
            lambda: (
                self.process.poll() is not None or (self.exists and self.query(finished)[0][0] >= before + at_least)
            ),
            self.said,
        )
        assert self.process.poll() is None, f"ended by itself with {self.process.poll()}: {self.said()}"

    def kill(self, part: str, chance: random.Random) -> str:
        """Kill -9 one process of a part as soon as there is one; return which."""
        if part == "controller":
            self.process.kill()
            return f"controller {self.process.pid}"
        processes = until(lambda: self.family.of(part) or self.process.poll() is not None, self.said)
        if processes is True:
            return f"no {part}: the command had ended"
        victim = chance.choice(sorted(processes, key=lambda p: p.pid))
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
        return _described(victim)

    def settled(self) -> None:
        """The command is over and everything of it is gone; what it left can be gone on with."""
        self.family.gone(agents=False)
        if self.exists:
            check(self.path, over=False)

    def finish(self) -> None:
        """See the sweep to its end from whatever state it is in: ask it to stop, and let the running trials finish."""
        if self.process.poll() is not None:
            self.start()
        while self._stop() == 5:  # a trial was lost after the sweep was asked to stop: another resume runs it
            assert self.query("SELECT 1 FROM trials WHERE state = 'pending'"), self.said()
            assert self.query("SELECT state FROM sweep") == [("interrupted",)]
            self.start()
        assert self.process.returncode == 0, self.said()
        self.over()

    def _stop(self) -> int:
        """Ask it to stop as soon as it runs; return the command's exit code."""
        self.runs()
        asked = self.ask("stop")
        assert asked.returncode == 0, asked.stderr
        return self.ended()

    def over(self) -> None:
        """The sweep has ended: nothing is left of it but what it found, and that is whole."""
        self.family.gone()
        listed = self.ask("best", "--json")
        assert listed.returncode == 0, listed.stderr
        check(self.path, best=json.loads(listed.stdout)["trials"][0]["config"])

    def close(self) -> None:
        """End whatever a failed test left."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for process in self.family.all():
            with contextlib.suppress(psutil.Error):
                process.kill()
