"""`sweep compare`: sweeps or trials side by side, only what differs."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import completion
from orchestrator.cli.damage import say_damage
from orchestrator.cli.elsewhere import AtOption
from orchestrator.cli.naming import find, no_trial, split
from orchestrator.cli.options import JsonOption, RunsDirOption, WhereOption
from orchestrator.cli.terminal import fitted
from orchestrator.errors import SweepError
from orchestrator.printable import clean
from orchestrator.reporting.wording import in_cell
from orchestrator.watch.text import sparklines, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.ledger.records import TrialRecord
    from orchestrator.reporting.compare import Difference
    from orchestrator.reporting.facts import Facts

MOST = 8
"""Trials of one sweep that are set side by side when a filter chooses them."""

WIDEST = 36
"""Characters of a value; what is longer is cut."""


def compare(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SWEEP|SWEEP/N|N...",
            help="Sweeps; or trials: SWEEP/7, or 7 for a trial of the sweep named before it (else the last one).",
            show_default=False,
            autocompletion=completion.sweeps,
        ),
    ] = None,
    where: WhereOption = None,
    runs_dir: RunsDirOption = None,
    _at: AtOption = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print the names of what differs alone.")] = False,
) -> None:
    """Compare sweeps or trials: one line per result, spec key, parameter or metric in which they differ.

    `sweep compare A B` compares two sweeps, `sweep compare A/3 B/7` two trials, `sweep compare A 3 7 12` three of one sweep.
    With --where it compares what the trials that pass come to in each sweep, or, of one sweep, those trials with each other.
    """
    from orchestrator.reporting.compare import compare_sweeps, compare_trials

    sweeps, trials = _resolve(what or ["last"], where, runs_dir)
    if trials:
        names = [_trial_name(facts, trial, trials) for facts, trial in trials]
        differences = compare_trials(trials)
    else:
        names = [f"{facts.results.record.name} {facts.results.record.sweep_id}" for facts in sweeps]
        differences = compare_sweeps(sweeps)
    if as_json:
        data = [{"group": d.group, "name": d.name, "values": d.values} for d in differences]
        typer.echo(json.dumps({"compared": names, "differences": data}, indent=2, default=str))
        return
    if quiet:
        typer.echo("\n".join(clean(d.name) for d in differences))
        return
    typer.echo(fitted(table(["", *(clean(name) for name in names)], _rows(differences, trials))))


def _resolve(
    what: list[str], where: list[str] | None, runs_dir: Path | None
) -> tuple[list["Facts"], list[tuple["Facts", "TrialRecord"]]]:
    """Return sweeps, or trials: never both."""
    known: dict[Path, Facts] = {}
    sweeps: list[Facts] = []
    trials: list[tuple[Facts, TrialRecord]] = []
    current: str | None = None
    for word in what:
        sweep, trial = split(word)
        if sweep is not None:
            current = sweep
        if where and trial is not None:
            raise SweepError(f"--where chooses among trials, and trial {trial} is one already. Leave either out.")
        facts = _facts(current or "last", where, runs_dir, known)
        if trial is None:
            sweeps.append(facts)
        else:
            trials.append((facts, _trial(facts, trial)))
    named_for_trials = [facts for facts in sweeps if any(facts is owner for owner, _ in trials)]
    if trials and len(named_for_trials) < len(sweeps):
        raise SweepError("sweeps cannot be compared with trials\n  Name only sweeps, or only trials such as SWEEP/7.")
    if where and len(sweeps) == 1 and not trials:
        trials = _best_trials(sweeps[0])
    if len(trials or sweeps) < 2:
        raise SweepError(
            "there is nothing to compare it with\n  Name two sweeps (A B), or two trials (A/3 B/7, or A 3 7)."
        )
    return sweeps, trials


def _best_trials(facts: "Facts") -> list[tuple["Facts", "TrialRecord"]]:
    """The trials of one sweep that pass, as many as can stand side by side: the best first, the others behind them."""
    from orchestrator.ledger.ranking import rank

    results = facts.results
    found = sorted(results.trials, key=lambda trial: rank(trial) or ((math.inf,), trial.number))
    if len(found) > MOST:
        typer.echo(f"{MOST} of the {len(found)} trials that pass; `sweep show --where` lists all", err=True)
    return [(facts, trial) for trial in found[:MOST]]


def _facts(sweep: str, where: list[str] | None, runs_dir: Path | None, known: dict[Path, "Facts"]) -> "Facts":
    from orchestrator.reporting.facts import read_facts
    from orchestrator.reporting.filter import kept

    sweep_dir = find(sweep, runs_dir)
    if sweep_dir.path not in known:
        known[sweep_dir.path] = kept(read_facts(sweep_dir), where)
        say_damage(known[sweep_dir.path].results)
    return known[sweep_dir.path]


def _trial(facts: "Facts", wanted: int) -> "TrialRecord":
    trial = facts.results.by_number.get(wanted)
    if trial is None:
        raise no_trial(facts.results.record.sweep_id, wanted, list(facts.results.by_number))
    return trial


def _trial_name(facts: "Facts", trial: "TrialRecord", trials: "Sequence[tuple[Facts, TrialRecord]]") -> str:
    """The number alone where all are of one sweep."""
    ids = {owner.results.record.sweep_id for owner, _ in trials}
    return f"trial {trial.number}" if len(ids) == 1 else f"{facts.results.record.sweep_id}/{trial.number}"


def _rows(differences: "Sequence[Difference]", trials: "Sequence[tuple[Facts, TrialRecord]]") -> list[list[str]]:
    rows: list[list[str]] = []
    group = None
    for difference in differences:
        if difference.group != group:
            group = difference.group
            rows.append([f"{group}:", *[""] * len(difference.values)])
        rows.append([f"  {clean(difference.name)}", *(in_cell(value, WIDEST) for value in difference.values)])
    curves = [[value for _, _, value in facts.curves.get(trial.number, ())] for facts, trial in trials]
    if any(curves):
        rows.append(["curve", *sparklines(curves, width=24)])
    return rows
