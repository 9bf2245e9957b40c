"""Runs `sweep` commands on a fake pool, each in a fork of one warm process, and kills them at a commit when told to.

The commands are the real ones: only Ray is replaced. Run as a program it reads requests, one JSON object a line.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

MODULES = (
    "orchestrator.arguments.against_spec",
    "orchestrator.cli.commands.resume",
    "orchestrator.cli.commands.run",
    "orchestrator.cli.foreground",
    "orchestrator.cli.main",
    "orchestrator.control.controller",
    "orchestrator.control.needs",
    "orchestrator.execution.own_gpus",
    "orchestrator.execution.ray.cluster",
    "orchestrator.execution.ray.pool",
    "orchestrator.execution.ray.preflight",
    "orchestrator.ledger.origin",
    "orchestrator.project.watching",
    "orchestrator.reporting.experiment",
    "orchestrator.reporting.files",
    "orchestrator.reporting.page.render",
    "orchestrator.search.draws",
    "orchestrator.search.prior",
    "orchestrator.session",
    "orchestrator.stopping.factory",
    "orchestrator.trial.program.tune_resources",
    "orchestrator.upload.beside",
    "orchestrator.watch.collation",
    "orchestrator.watch.ending",
    "orchestrator.watch.interrupts",
    "orchestrator.watch.live",
    "orchestrator.watch.notifier",
    "orchestrator.watch.recorder",
    "ray._private.thirdparty.pynvml",
    "tensorboard.compat.proto.event_pb2",
    "tensorboard.plugins.hparams.summary_v2",
    "tensorboard.summary.writer.record_writer",
    "tests.faults.acts",
    "typer._adapters",
)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a command ended: its exit code (minus the signal), the commits it came to, and what it said."""

    code: int
    commits: list[str]
    out: str
    err: str


class WarmSweep:
    """The side of the tests."""

    def __init__(self):
        command = [sys.executable, __file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, *argv, cwd, trials="plain", die_at=None) -> Ran:
        """Run ``sweep ARGV``; it kills itself at commit number `die_at`."""
        request = {"argv": [str(a) for a in argv], "cwd": str(cwd), "trials": trials, "die_at": die_at}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        out, err, commits = ((Path(cwd) / name).read_text() for name in ("out", "err", "commits"))
        return Ran(code=code, commits=commits.split(), out=out, err=err)

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=30)


def main():
    sys.path.append(str(ROOT))
    for name in MODULES:  # so that the forks need not import them
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(request)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(request):
    os.chdir(request["cwd"])
    for descriptor, name in enumerate(("/dev/null", "out", "err")):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if descriptor else os.O_RDONLY
        os.dup2(os.open(name, flags, 0o644), descriptor)
    _patch(request["trials"], request["die_at"])
    sys.argv = ["sweep", *request["argv"]]
    from orchestrator.cli.main import main as sweep

    code = 0
    try:
        sweep()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # noqa: BLE001  the test sees the traceback and the code
        import traceback

        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _patch(trials, die_at):
    from orchestrator.execution.ray import cluster, pool
    from tests.faults import acts

    cluster.connect = lambda *_, **__: contextlib.nullcontext()
    pool.RayPool = lambda *_, runs_dir, **__: acts.a_pool(trials, Path(runs_dir))
    die_at_commit(os.open("commits", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), die_at)


def die_at_commit(log, die_at):
    """Write the name of each commit to the file descriptor `log`; kill this process at number `die_at`, from 0."""
    from orchestrator.ledger.store import Ledger

    make, names = Ledger.__init__, []

    def commit(name):
        os.write(log, name.encode() + b"\n")
        names.append(name)
        if len(names) - 1 == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    Ledger.__init__ = lambda self, path: make(self, path, on_commit=commit)


if __name__ == "__main__":
    main()
