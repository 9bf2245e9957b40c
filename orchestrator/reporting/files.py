"""The files beside the ledger that hold the answer while the sweep still runs: best.yaml, best.sh, pareto.yaml, trials.csv."""

from orchestrator.confined import replace
from orchestrator.layout import BEST, BEST_SCRIPT, PARETO, SPEC
from orchestrator.ledger.records import TrialRecord
from orchestrator.printable import clean
from orchestrator.reporting.recipe import config_text, headline, param_file, script
from orchestrator.reporting.results import Results
from orchestrator.reporting.table import as_csv, table_of
from orchestrator.trial.contract.flat import flat

MOST_METRICS = 100
"""Columns of further metrics in trials.csv; `sweep export` writes all."""


def write_files(results: Results) -> None:
    """Write every file anew, each replaced as a whole.

    Raises:
        OSError: The sweep's directory cannot be written.
    """
    place = results.sweep_dir
    replace(place.table_path, as_csv(table_of(results, most_metrics=MOST_METRICS)))
    leaders = results.leaders(1)
    if not leaders:
        return
    best = leaders[0]
    replace(place.best_path, best_yaml(results, best))
    text = script(results, best)
    if text is not None:
        replace(place.best_script_path, text, executable=True)
    if results.spec.metrics:
        replace(place.pareto_path, pareto_yaml(results))


def best_yaml(results: Results, best: TrialRecord) -> str:
    """Return the best config as a plain mapping, with a head that says what it is."""
    several = f"# Of the trials that no other beats in every objective, which are in {PARETO}.\n"
    return (
        f"# {headline(results, best)}\n"
        + (several if results.spec.metrics else "")
        + f"# Once more: sweep try {SPEC} --config {BEST}, or bash {BEST_SCRIPT}\n"
        + f"# For wandb (WANDB_SWEEP_PARAM_PATH, WANDB_CONFIG_PATHS): {param_file(results, best)}\n"
        + config_text(best.config)
    )


def pareto_yaml(results: Results) -> str:
    """Return the trials that no other beats in every objective, as a list of number, values and config."""
    front = results.leaders(1)
    names = ", ".join(f"{clean(m.name)} ({m.goal})" for m in results.spec.objectives)
    head = f"# {results.label}: no other trial beats these in every objective: {names}\n"
    entries = [{"trial": t.number, "values": dict(flat(results.values(t))), "config": dict(t.config)} for t in front]
    return head + "".join(_item(config_text(entry)) for entry in entries)


def _item(text: str) -> str:
    """A mapping's YAML as an entry of a list."""
    lines = text.splitlines(keepends=True)
    return "".join(("- " if i == 0 else "  ") + line for i, line in enumerate(lines))
