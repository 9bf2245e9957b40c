"""What the shell offers after Tab: specs, sweeps and trials. Quick, silent, and never an error."""

from pathlib import Path
from typing import Any

MOST = 50


def specs(incomplete: str) -> list[str]:
    """Return the YAML files that begin like this; none, and the shell offers its own files and folders."""
    head, slash, start = incomplete.rpartition("/")
    try:
        entries = sorted(Path(head + slash or ".").expanduser().iterdir())
    except OSError:
        return []
    files = [entry for entry in entries if entry.suffix in {".yaml", ".yml"} and entry.name.startswith(start)]
    return [f"{head}{slash}{entry.name}" for entry in files if start.startswith(".") or not entry.name.startswith(".")]


def sweeps(ctx: Any, incomplete: str) -> list[tuple[str, str]]:
    """Return ids of sweeps with their names, the newest first; by the name too, once it is begun.

    Where a trial may be named as well: also the trials of the last sweep by their numbers, and of any as ``SWEEP/N``.
    """
    from orchestrator.ledger.paths import all_sweeps

    has_trials = any(param.name in {"trial", "trials", "what"} for param in ctx.command.params)
    sweep, slash, number = incomplete.rpartition("/")
    if has_trials and slash:
        return [(f"{sweep}/{word}", state) for word, state in _trials(ctx, sweep, number)]
    try:
        found = all_sweeps(_runs_dir(ctx))
    except OSError:
        return []
    ids = [(s.sweep_id, s.name) for s in found]
    names = [(s.path.name, "") for s in found] if incomplete else []
    offered = [("last", "the newest"), *ids, *names] if found else []
    named = [(word, what) for word, what in offered if word.startswith(incomplete)][:MOST]
    return named + (_trials(ctx, _named_before(ctx), incomplete) if has_trials else [])


def trials(ctx: Any, incomplete: str) -> list[tuple[str, str]]:
    """Return numbers of the sweep's trials with their states, the latest first."""
    return _trials(ctx, str(ctx.params.get("sweep") or "last"), incomplete)


def _named_before(ctx: Any) -> str:
    """The sweep that a number alone is a trial of."""
    words = [str(word) for word in ctx.params.get("what") or () if not str(word).isdecimal()]
    return words[-1].partition("/")[0] if words else "last"


def _trials(ctx: Any, sweep: str, incomplete: str) -> list[tuple[str, str]]:
    from orchestrator.errors import SweepError
    from orchestrator.ledger.paths import find_sweep
    from orchestrator.ledger.reader import LedgerReader

    try:
        with LedgerReader(find_sweep(_runs_dir(ctx), sweep).ledger_path, whole=False) as reader:
            found = reader.trials()
    except (OSError, SweepError):
        return []
    offered = [(str(trial.number), str(trial.state)) for trial in reversed(found)]
    return [(number, state) for number, state in offered if number.startswith(incomplete)][:MOST]


def _runs_dir(ctx: Any) -> Path:
    from orchestrator.ledger.paths import runs_dir

    return runs_dir(ctx.params.get("runs_dir"))
