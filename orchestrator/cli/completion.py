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
    """Return ids of sweeps with their names, the newest first; by the name too, once it is begun."""
    from orchestrator.ledger.paths import all_sweeps

    try:
        found = all_sweeps(_runs_dir(ctx))
    except OSError:
        return []
    ids = [(s.sweep_id, s.path.name.rpartition("-")[0]) for s in found]
    names = [(s.path.name, "") for s in found] if incomplete else []
    offered = [("last", "the newest"), *ids, *names] if found else []
    return [(word, what) for word, what in offered if word.startswith(incomplete)][:MOST]


def trials(ctx: Any, incomplete: str) -> list[tuple[str, str]]:
    """Return numbers of the sweep's trials with their states, the latest first."""
    from orchestrator.errors import SweepError
    from orchestrator.ledger.paths import find_sweep
    from orchestrator.ledger.reader import LedgerReader

    try:
        sweep_dir = find_sweep(_runs_dir(ctx), str(ctx.params.get("sweep") or "last"))
        with LedgerReader(sweep_dir.ledger_path) as reader:
            found = reader.trials()
    except (OSError, SweepError):
        return []
    offered = [(str(trial.number), str(trial.state)) for trial in reversed(found)]
    return [(number, state) for number, state in offered if number.startswith(incomplete)][:MOST]


def _runs_dir(ctx: Any) -> Path:
    from orchestrator.ledger.paths import runs_dir

    return runs_dir(ctx.params.get("runs_dir"))
