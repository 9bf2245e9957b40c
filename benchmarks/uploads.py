"""What it costs to send recorded W&B runs: our upload process, beside `wandb sync` once per run and once for all.

All three send copies of one offline run to a server on the loopback interface, in one go. Prints seconds and processor
time per run, and the ratios. `wandb sync` per run is what a wrapper around each trial would do.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

sys.path.append(str(Path(__file__).parents[1]))

from orchestrator.layout import SweepDir
from orchestrator.ledger.records import SweepRecord, SweepState
from orchestrator.spec import load_text
from orchestrator.trial.formats.wandb_log import LogWriter, WandbLog
from orchestrator.upload.uploads import Uploads
from tests.wandb_server import WandbServer

N_RUNS, N_SINGLE, N_ROWS = 200, 5, 50
PROGRAM = (
    f"import wandb; run = wandb.init()\nfor step in range({N_ROWS}): run.log({{'loss': 1 / (step + 1)}})\nrun.finish()"
)
SPEC = "program: t.py\nmethod: random\nparameters: {lr: {min: 0.0, max: 1.0}}\n"


def recorded_sweep(runs: Path) -> SweepDir:
    """A sweep directory with copies of one run that the real client recorded."""
    sweep_dir = SweepDir(runs / "bench-abcdefgh")
    first = sweep_dir.trial(0).path
    first.mkdir(parents=True)
    environ = os.environ | {"WANDB_MODE": "offline", "WANDB_DIR": str(first), "WANDB_RUN_ID": "bench-0"}
    subprocess.run([sys.executable, "-c", PROGRAM], env=environ, check=True, capture_output=True)
    (log,) = first.glob("wandb/offline-run-*/run-*.wandb")
    records = list(WandbLog(log).read())
    for number in range(1, N_RUNS):
        directory = sweep_dir.trial(number).wandb_path / f"offline-run-20260101_000000-bench-{number}"
        (directory / "files").mkdir(parents=True)
        writer = LogWriter(directory / f"run-bench-{number}.wandb")
        for record in records:
            if record.WhichOneof("record_type") == "run":
                record.run.run_id = f"bench-{number}"
            writer.write(record)
        writer.close()
    return sweep_dir


def ours(sweep_dir: SweepDir, n_runs: int) -> float:
    """Send the runs with the upload process; return its processor time, with its core's."""
    spec = load_text(SPEC, path="spec", needs_program=False).require()
    state = {"state": SweepState.FINISHED, "created": 0.0, "cwd": "/", "spec_text": "", "seed": 1}
    uploads = Uploads(sweep_dir, spec, SweepRecord(sweep_id="abcdefgh", name="bench", **state))
    for number in range(n_runs):
        uploads.watch(number, ended=True, settled=True)
    standing = uploads.settle(finished=True, is_over=lambda _: False)
    assert standing.sent == n_runs, standing
    family = [p for p in psutil.Process().children(recursive=True) if "python" in p.name() or "wandb" in p.name()]
    used = sum(sum(p.cpu_times()[:2]) for p in family)
    uploads.close()
    return used


def wandb_sync(sweep_dir: SweepDir, n_runs: int, *, at_once: bool) -> float:
    """Send the runs with wandb's command; return the processor time of the processes."""
    directories = [str(next(iter(sweep_dir.trial(n).wandb_run_paths()))) for n in range(n_runs)]
    before = os.times()
    for batch in [directories] if at_once else [[directory] for directory in directories]:
        subprocess.run(["wandb", "sync", *batch], cwd=sweep_dir.path, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def measure(name: str, n_runs: int, send: Callable[[SweepDir], float]) -> float:
    """Print and return the seconds per run."""
    with tempfile.TemporaryDirectory() as runs, WandbServer() as server:
        os.environ.update(server.environ)
        sweep_dir = recorded_sweep(Path(runs))
        began = time.perf_counter()
        used = send(sweep_dir)
        took = (time.perf_counter() - began) / n_runs
        assert len(server.runs) == n_runs
    print(
        f"{name:28} {took * 1000:8.1f} ms/run {used / n_runs * 1000:8.1f} ms CPU/run   ({n_runs} runs of {N_ROWS} rows)"
    )
    return took


def main() -> None:
    """Measure all three in one run."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["WANDB_ERROR_REPORTING"] = "false"
    beside = measure("upload process", N_RUNS, lambda sweep_dir: ours(sweep_dir, N_RUNS))
    each = measure("wandb sync, once per run", N_SINGLE, lambda d: wandb_sync(d, N_SINGLE, at_once=False))
    batch = measure("wandb sync, once for all", N_RUNS, lambda d: wandb_sync(d, N_RUNS, at_once=True))
    print(
        f"a run by the upload process takes 1/{each / beside:.0f} of `wandb sync` per run, {beside / batch:.1f} x of it for all"
    )


if __name__ == "__main__":
    main()
