"""What is said when a sweep has ended: the best config to paste, failures by cause, where everything lies, how to go on."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import ExitCode
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.printable import clean
from orchestrator.reporting.advice import failures_by_cause
from orchestrator.reporting.environment import pythons_in, recorded
from orchestrator.reporting.recipe import command, config_text
from orchestrator.reporting.results import Results
from orchestrator.reporting.their_commands import tensorboard_command
from orchestrator.reporting.wording import command_line, counted, duration
from orchestrator.spec import SweepSpec
from orchestrator.spec.model import Method
from orchestrator.trial.contract.events import Cause
from orchestrator.watch.progress import STOPPED, SweepEnded

if TYPE_CHECKING:
    from orchestrator.layout import SweepDir

SHOWN_FAILURES = 3


def say_end(end: SweepEnded, results: Results) -> None:
    """Print the end of a sweep: progress to standard error, the best config to standard output."""
    trials, sweep_dir = list(results.trials), results.sweep_dir
    _tell("")
    _tell(f"{_counts(trials)} in {duration(results.record.active_s)}: {end.reason}")
    for line in failures(trials, sweep_dir):
        _tell(line)
    if results.ranked:
        _print_best(results)
    report = sweep_dir.report_path
    _tell("")
    if report.exists():
        _tell(f"report            {report}")
    _tell(f"everything is in  {sweep_dir.path}")
    pythons = [str(found.get("path", "")) for found in pythons_in(recorded(sweep_dir))]
    _tell(f"TensorBoard       {tensorboard_command(str(sweep_dir.path), pythons)}")
    for line in _next(end, results.spec, sweep_dir, trials):
        _tell(line)


def failures(trials: list[TrialRecord], sweep_dir: "SweepDir") -> list[str]:
    """Return lines that tell failures by cause, most frequent first, with the logs of the first ones."""
    by_cause = failures_by_cause(trials)
    lines = []
    for said, failed in by_cause[:SHOWN_FAILURES]:
        lines.append(f"  {len(failed)} x {clean(said)}")
        lines.append(f"      {clean(str(sweep_dir.trial(failed[0].number).log_path))}")
    more = len(by_cause) - SHOWN_FAILURES
    return lines + ([f"  and {more} other errors: `sweep show` lists them"] if more > 0 else [])


def resume_command(sweep_dir: "SweepDir") -> str:
    """Return the command that goes on with a sweep, from the working directory."""
    return on_sweep("resume", sweep_dir)


def on_sweep(command: str, sweep_dir: "SweepDir") -> str:
    """Return the line that runs a command of ours on a sweep, from the working directory."""
    where = [] if is_usual_place(sweep_dir) else ["--runs-dir", str(sweep_dir.path.parent)]
    return command_line(["sweep", command, sweep_dir.sweep_id, *where])


def is_usual_place(sweep_dir: "SweepDir") -> bool:
    """Return whether a sweep's id is enough to find it from the working directory."""
    from orchestrator.ledger.paths import DEFAULT_RUNS_DIR, FORMER_RUNS_DIR

    return sweep_dir.path.parent in {Path(name).resolve() for name in (DEFAULT_RUNS_DIR, FORMER_RUNS_DIR)}


def _print_best(results: Results) -> None:
    best = results.leaders(1)[0]
    _tell("")
    _tell(f"best {_goal(results)} {results.shown(best)} in trial {best.number} ({best.reached_at()})")
    sys.stderr.flush()
    print("".join(f"{clean(line)}\n" for line in config_text(best.config).splitlines()), end="", flush=True)
    line = command(results, best)
    if line is not None:
        _tell("")
        _tell(f"  {line}")
    _tell(f"  {results.sweep_dir.trial(best.number).path}")


def _tell(line: str) -> None:
    """Print a line to standard error; scripts that use the Python API have no other door."""
    print(clean(line), file=sys.stderr)


def _goal(results: Results) -> str:
    if len(results.spec.objectives) == 1:
        return results.spec.objectives[0].name
    return f"(one of {len(results.front)} that no other beats, `sweep best` shows all)"


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
    return f"{counted(len(trials), 'trial')} ({', '.join(counts) or 'none ended'})"


def _next(end: SweepEnded, spec: SweepSpec, sweep_dir: "SweepDir", trials: list[TrialRecord]) -> list[str]:
    """How to go on, by how it ended."""
    command = clean(resume_command(sweep_dir))
    if end.exit_code in {ExitCode.INTERRUPTED, ExitCode.BUDGET_STOPPED}:
        return [f"go on with        {command}"]
    if end.reason == STOPPED and (spec.run_cap is None or len(trials) < spec.run_cap):
        return [f"the rest          {command}"]
    if end.exit_code is ExitCode.NO_TRIAL_SUCCEEDED:
        return _mend(command, trials)
    is_spent = spec.method is Method.GRID and (spec.run_cap is None or len(trials) < spec.run_cap)
    lines = [] if is_spent else [f"more trials       {command} --add N"]
    if any(trial.state is TrialState.FAILED for trial in trials):
        lines.append(f"failed ones again {command} --retry-failed")
    return lines


def _mend(command: str, trials: list[TrialRecord]) -> list[str]:
    """How to go on where nothing has worked: more trials would fare the same."""
    if any(trial.cause is Cause.NO_METRIC for trial in trials):
        return [f"metric mended     {command} scores what they reported, without running them again"]
    return [f"program mended    {command} --retry-failed"]
