"""What is said when a sweep has ended: the best config to paste, failures by cause, where everything lies, how to go on."""

import sys
from collections import defaultdict
from typing import TYPE_CHECKING

import yaml

from orchestrator.cli.text import clean, duration, number
from orchestrator.errors import ExitCode
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.progress import SweepEnded
from orchestrator.spec import SweepSpec

if TYPE_CHECKING:
    from orchestrator.launching import Launcher
    from orchestrator.ledger.paths import SweepDir
    from orchestrator.ledger.store import Ledger

SHOWN_FAILURES = 3


def say_end(end: SweepEnded, spec: SweepSpec, sweep_dir: "SweepDir", ledger: "Ledger", launcher: "Launcher") -> None:
    """Print the end of a sweep: progress to standard error, the best config to standard output."""
    trials = ledger.trials()
    print(file=sys.stderr)
    print(f"{_counts(trials)}: {clean(end.reason)}", file=sys.stderr)
    for line in failures(trials, sweep_dir):
        print(line, file=sys.stderr)
    best = best_trial(trials)
    if best is not None:
        _print_best(best, spec, sweep_dir, launcher)
    print(f"\neverything is in  {clean(str(sweep_dir.path))}", file=sys.stderr)
    print(f"TensorBoard       tensorboard --logdir {clean(str(sweep_dir.path))}", file=sys.stderr)
    print(f"{_next(end)}  {_resume(sweep_dir)}", file=sys.stderr)


def best_trial(trials: list[TrialRecord]) -> TrialRecord | None:
    """Return the trial with the lowest score; of equals the first."""
    worth = [t for t in trials if t.score is not None and t.state not in {TrialState.FAILED, TrialState.CANCELED}]
    return min(worth, key=lambda t: (t.score, t.number), default=None)


def failures(trials: list[TrialRecord], sweep_dir: "SweepDir") -> list[str]:
    """Return lines that tell failures by cause, most frequent first, with the logs of the first ones."""
    by_cause: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in trials:
        if trial.state is TrialState.FAILED:
            by_cause[f"{(trial.cause or 'failed').replace('_', ' ')}: {trial.error or trial.reason or ''}"].append(
                trial
            )
    lines = []
    for error, failed in sorted(by_cause.items(), key=lambda item: -len(item[1]))[:SHOWN_FAILURES]:
        lines.append(f"  {len(failed)} x {clean(error)}")
        lines.append(f"      {clean(str(sweep_dir.trial(failed[0].number) / 'output.log'))}")
    more = len(by_cause) - SHOWN_FAILURES
    return lines + ([f"  and {more} other errors: `sweep show` lists them"] if more > 0 else [])


def _print_best(best: TrialRecord, spec: SweepSpec, sweep_dir: "SweepDir", launcher: "Launcher") -> None:
    metric = spec.objectives[0].name
    print(f"\nbest {clean(metric)} {number(best.value)} in trial {best.number} (report {best.step})", file=sys.stderr)
    sys.stderr.flush()
    text = yaml.safe_dump(dict(best.config), sort_keys=False, allow_unicode=True)
    print("".join(f"{clean(line)}\n" for line in text.splitlines()), end="", flush=True)
    if spec.program is not None or spec.command is not None:
        import shlex

        print(f"\n  {clean(shlex.join(launcher.argv(best.number, best.config)))}", file=sys.stderr)
    print(f"  {clean(str(sweep_dir.trial(best.number)))}", file=sys.stderr)


def _counts(trials: list[TrialRecord]) -> str:
    states = [trial.state for trial in trials]
    names = {
        TrialState.FINISHED: "finished",
        TrialState.STOPPED: "stopped early",
        TrialState.FAILED: "failed",
        TrialState.CANCELED: "canceled",
        TrialState.PENDING: "to run again",
    }
    counts = [f"{states.count(state)} {what}" for state, what in names.items() if states.count(state)]
    took = max((t.ended or 0.0 for t in trials), default=0.0) - min((t.created for t in trials), default=0.0)
    return f"{len(trials)} trials ({', '.join(counts) or 'none ended'}) in {duration(max(0.0, took))}"


def _next(end: SweepEnded) -> str:
    return (
        "go on with        "
        if end.exit_code in {ExitCode.INTERRUPTED, ExitCode.BUDGET_STOPPED}
        else "more trials       "
    )


def _resume(sweep_dir: "SweepDir") -> str:
    from orchestrator.cli.foreground import resume_command

    return clean(resume_command(sweep_dir))
