"""What one trial's trouble on the GPU does to itself, to its neighbours and to the next trial."""

import time
from pathlib import Path

from tests.gpu.bench import Bench, Trial
from tests.gpu.check import Check


def out_of_memory(check: Check) -> None:
    """Fill the GPU beside three trials that train."""
    with Bench(check.work) as bench:
        neighbours, end = _neighbours(bench, check.work, 3)
        trial = bench.run("fill.py")
        check.found(out_of_memory=trial.outcome)
        _go_on(bench, neighbours, end)
        check.found(neighbours=[n.outcome["cause"] for n in neighbours], results=_results(neighbours))


def illegal_access(check: Check) -> None:
    """Let a trial write where it may not, beside one that trains, then run another from the same server."""
    with Bench(check.work) as bench:
        neighbours, end = _neighbours(bench, check.work, 1)
        trial = bench.run("illegal.py")
        check.found(illegal=trial.outcome, log=trial.log[-300:])
        following = bench.run("multiply.py")
        check.found(next=following.outcome["cause"], product=_last(following, "product"))
        _go_on(bench, neighbours, end)
        check.found(neighbours=[n.outcome["cause"] for n in neighbours])


def hang(check: Check) -> None:
    """Stop a trial that hangs in a kernel: SIGTERM does not reach it, SIGKILL has to."""
    with Bench(check.work) as bench:
        trial = bench.start("hang.py", grace_s=2.0)
        bench.until(lambda: trial.reports)
        time.sleep(0.5)  # the kernel runs
        began = time.monotonic()
        bench.stop(trial)
        bench.until(lambda: trial.ended)
        pid = trial.started.pid
        check.found(
            hung=trial.outcome, ended_after_s=time.monotonic() - began, is_gone=not Path(f"/proc/{pid}").exists()
        )
        began = time.monotonic()
        following = bench.run("multiply.py")
        check.found(next=following.outcome["cause"], product=_last(following, "product"))
        check.found(next_after_s=time.monotonic() - began)


def _neighbours(bench: Bench, work: Path, n: int) -> tuple[list[Trial], Path]:
    """Start trials that train until a file is there; return when all do."""
    end = work / "end"
    trials = [bench.start("neighbour.py", str(end)) for _ in range(n)]
    bench.until(lambda: all(len(trial.reports) > 1 for trial in trials))
    return trials, end


def _go_on(bench: Bench, neighbours: list[Trial], end: Path) -> None:
    """Let the neighbours train for a while yet, then end."""
    so_far = [len(trial.reports) for trial in neighbours]
    bench.until(lambda: all(t.ended or len(t.reports) > n + 1 for t, n in zip(neighbours, so_far, strict=True)))
    end.touch()
    bench.until(lambda: all(trial.ended for trial in neighbours))


def _results(trials: list[Trial]) -> list[float | None]:
    return [_last(trial, "at_100") for trial in trials]


def _last(trial: Trial, name: str) -> float | None:
    return next((report[name] for report in reversed(trial.reports) if name in report), None)
