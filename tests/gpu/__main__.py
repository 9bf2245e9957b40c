"""The proof on a real GPU in one command.

python -m tests.gpu [--device cpu] [--out DIR] [--only NAME...]

Every check runs in a session of its own and is killed when its time is over; the table is written anew after each.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from orchestrator.trial.processes import end_marked, marked
from tests.gpu.judging import DRY, ON_GPU
from tests.gpu.plan import CHECKS, TOTAL_S, Planned, stages
from tests.gpu.table import DRY_RUN, Row, result, text

ROOT = Path(__file__).parents[2]
FAKE = Path(__file__).with_name("programs") / "fake"
MARK = "GPU_CHECK_MARK"
LOG_CHARACTERS = 6000
NO_GPU = 3
"""Exit code where there is no GPU to check."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "TUNE_DISABLE_AUTO_CALLBACK_SYNCER": "1",
}


class Proof:
    """Runs checks and keeps the table of them in a directory."""

    def __init__(self, device: str, out: Path, work: Path, *, slowness: float) -> None:
        self._device, self._out, self._work = device, out, work
        self._slowness = slowness
        self._began_s = time.monotonic()
        self._rows: dict[str, Row] = {}

    @property
    def _left_s(self) -> float:
        return TOTAL_S * self._slowness - (time.monotonic() - self._began_s)

    def run(self, names: set[str]) -> bool:
        """Run checks; return whether all passed."""
        self._rows = {
            check.name: Row(planned=check, figures={}, problem="not run") for check in CHECKS if check.name in names
        }
        for stage in stages(names):
            with ThreadPoolExecutor(1 if self._device == "cpu" else len(stage)) as threads:
                for row in threads.map(self._isolated, stage):
                    self._rows[row.planned.name] = row
                    print(self._line(row), flush=True)
                    self.write()
        return all(r["passed"] for r in self.results())

    def results(self) -> list[dict[str, Any]]:
        """Return every row, judged."""
        return [result(row, DRY if self._device == "cpu" else ON_GPU) for row in self._rows.values()]

    def write(self) -> str:
        """Write the table as it is now, as JSON and as text; return the text."""
        results, took_s = self.results(), time.monotonic() - self._began_s
        card = self._rows["machine"].figures.get("card", "an unknown GPU") if "machine" in self._rows else "a GPU"
        shown = text(results, card=card, is_dry=self._device == "cpu", took_s=took_s)
        data = {"dry_run": self._device == "cpu", "card": card, "seconds": took_s, "checks": results}
        for name, content in {
            "table.json": json.dumps(data, indent=1),
            "table.txt": shown,
            "logs.txt": self._logs(),
        }.items():
            beside = self._out / f"{name}.part"
            beside.write_text(content, encoding="utf-8")
            beside.replace(self._out / name)
        return shown

    def _line(self, row: Row) -> str:
        judged = result(row, DRY if self._device == "cpu" else ON_GPU)
        failures = "".join(f"\n      {failure}" for failure in judged["failures"])
        return f"{'pass' if judged['passed'] else 'FAIL'}  {row.planned.name} ({row.took_s or 0:.0f} s){failures}"

    def _logs(self) -> str:
        """The end of what each check said that did not pass."""
        failed = [r["name"] for r in self.results() if not r["passed"]]
        paths = [(path, name) for name in failed for path in sorted((self._work / name).glob("*.log"))]
        return "\n".join(f"==== {name}: {path.name}\n{_tail(path)}" for path, name in paths)

    def _isolated(self, planned: Planned) -> Row:
        """Run one check; whatever goes wrong with running it is its row's."""
        try:
            return self._check(planned)
        except Exception as error:  # noqa: BLE001 - the other checks go on
            return Row(planned=planned, figures={}, problem=f"could not be run: {type(error).__name__}: {error}")

    def _check(self, planned: Planned) -> Row:
        """Run one check in a process of its own, for as long as it may; end all it started."""
        limit_s = min(planned.limit_s * self._slowness, self._left_s)
        if limit_s < 5:
            return Row(planned=planned, figures={}, problem="not begun: the time for all checks is over")
        work = self._work / planned.name
        work.mkdir()
        mark = secrets.token_hex(8)
        environ = {**os.environ, MARK: mark, "GPU_CHECK_DEVICE": self._device, "GPU_CHECK_WORK": str(work)}
        began_s, problem = time.monotonic(), None
        with (work / "check.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.gpu.check", planned.name],
                cwd=ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(limit_s)
                problem = None if code == 0 else f"ended with exit code {code}: {_last_line(work / 'check.log')}"
            except subprocess.TimeoutExpired:
                problem = f"killed after {limit_s:.0f} s"
                process.kill()
                process.wait()
        took_s = time.monotonic() - began_s
        self._end(f"{MARK}={mark}")
        return Row(planned=planned, figures=_figures(work), took_s=took_s, problem=problem)

    def _end(self, mark: str) -> None:
        """Kill what a check left: what ends by itself meanwhile may do so."""
        until_s = time.monotonic() + 2.0
        while marked(mark) and time.monotonic() < until_s:
            time.sleep(0.05)
        end_marked(mark)


def _figures(work: Path) -> dict[str, Any]:
    try:
        figures: dict[str, Any] = json.loads((work / "figures.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return figures


def _tail(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:]


def _last_line(path: Path) -> str:
    lines = [line for line in _tail(path).splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no output"


def why_no_gpu() -> str | None:
    """Return why there is nothing to check on this machine; None when there is a GPU."""
    probe = "import torch; print(torch.cuda.is_available(), torch.__version__, torch.version.cuda)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        return f"torch cannot be imported: {(done.stderr.strip().splitlines() or ['no output'])[-1]}"
    found, version, cuda = done.stdout.split()
    return None if found == "True" else f"torch {version} for CUDA {cuda} sees no GPU on this machine"


def prepare(device: str, work: Path, patience: float) -> None:
    """Set the environment that all checks share; without a GPU, what stands for it comes first."""
    os.environ |= QUIET | {"TORCHINDUCTOR_CACHE_DIR": str(work / "inductor"), "TRITON_CACHE_DIR": str(work / "triton")}
    os.environ["GPU_CHECK_PATIENCE"] = str(patience)
    for name in [name for name in os.environ if name.startswith("SWEEP_")]:
        del os.environ[name]
    if device == "cpu":
        os.environ["FAKE_GPU_DIR"] = str(work / "fake-gpu")
        os.environ["PATH"] = f"{FAKE}{os.pathsep}{os.environ['PATH']}"
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(FAKE), os.environ.get("PYTHONPATH"))))
        (work / "fake-gpu").mkdir()


def main() -> None:
    """Run the checks, print the table, write it as table.json and table.txt."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: try the checks, prove nothing")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT") or ROOT / "build" / "gpu"))
    parser.add_argument(
        "--only", nargs="+", choices=[check.name for check in CHECKS], metavar="NAME", help="these checks alone"
    )
    parser.add_argument("--patience", type=float, default=1.0, metavar="X", help="X times the time for everything")
    args = parser.parse_args()
    reason = why_no_gpu() if args.device == "cuda" else None
    if reason is not None:
        print(
            f"No check was run: {reason}.\n`python -m tests.gpu --device cpu` tries the checks without one, and proves nothing."
        )
        sys.exit(NO_GPU)
    if args.device == "cpu":
        print(DRY_RUN)
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gpu-check-", ignore_cleanup_errors=True) as work:
        prepare(args.device, Path(work), args.patience)
        proof = Proof(args.device, args.out.resolve(), Path(work), slowness=args.patience)
        passed = proof.run(set(args.only or [check.name for check in CHECKS]))
        print("\n" + proof.write() + f"\nThe table is in {args.out}/table.txt and table.json")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
