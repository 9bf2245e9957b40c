"""`sweep best`: the best trials, with everything needed to use them."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.damage import say_damage
from orchestrator.cli.elsewhere import AtOption
from orchestrator.cli.facts_data import sweep_data, trial_data
from orchestrator.cli.naming import sweep_named
from orchestrator.cli.options import JsonOption, RunsDirOption, SweepArgument, WhereOption
from orchestrator.cli.terminal import fitted
from orchestrator.errors import SweepError
from orchestrator.printable import clean
from orchestrator.watch.text import briefs, row_of, table

if TYPE_CHECKING:
    from orchestrator.ledger.records import TrialRecord
    from orchestrator.reporting.facts import Facts


def best(
    sweep: SweepArgument = "last",
    n: Annotated[
        int | None,
        typer.Option(
            "-n", "-k", min=1, show_default=False, help="How many: 5, with -q 1. With several metrics the whole front."
        ),
    ] = None,
    where: WhereOption = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print the directories alone.")] = False,
    runs_dir: RunsDirOption = None,
    _at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the best trials: value, config, the exact command line, and where everything of them is."""
    from orchestrator.reporting.facts import read_facts, read_leaders
    from orchestrator.reporting.filter import kept

    n = n or (1 if quiet else 5)
    sweep_dir = sweep_named(sweep, runs_dir)
    facts = kept(read_facts(sweep_dir), where) if where else read_leaders(sweep_dir, n)
    say_damage(facts.results)
    leaders = facts.results.leaders(n)
    if quiet:
        found = _required(facts, leaders, where)
        typer.echo("".join(f"{clean(str(sweep_dir.trial(trial.number).path))}\n" for trial in found), nl=False)
        return
    if as_json:
        data = {"sweep": sweep_data(facts), "trials": [trial_data(facts, trial) for trial in leaders]}
        typer.echo(json.dumps(data, indent=2, default=str))
        return
    for line in best_lines(facts, _required(facts, leaders, where)):
        typer.echo(line)


def _required(facts: "Facts", leaders: "list[TrialRecord]", where: list[str] | None) -> "list[TrialRecord]":
    """The leaders.

    Raises:
        SweepError: There is none.
    """
    if leaders:
        return leaders
    results = facts.results
    wanted = " and ".join(clean(metric.name) for metric in results.spec.objectives)
    who = f"no trial that passes {clean(' '.join(where))}" if where else "no trial"
    why = f"{who} has reported {wanted} yet" if wanted else "the spec has no metric to rank by"
    raise SweepError(f"sweep {results.record.sweep_id}: {why}")


def best_lines(facts: "Facts", leaders: "list[TrialRecord]") -> list[str]:
    """Return what `sweep best` prints."""
    results = facts.results
    names = ", ".join(f"{clean(m.name)} ({m.goal})" for m in results.spec.objectives)
    what = "trials that no other beats in every metric:" if results.spec.metrics else "best"
    configs = briefs([results.tuned(trial) for trial in leaders], width=80)
    rows = [
        [str(t.number), results.shown(t), row_of(t), str(t.state), config]
        for t, config in zip(leaders, configs, strict=True)
    ]
    return [
        f"{results.label}: {what} {names}",
        fitted(table(["trial", "value", "row", "state", "config"], rows)),
        *recipe_lines(facts, leaders[0]),
    ]


def recipe_lines(facts: "Facts", trial: "TrialRecord") -> list[str]:
    """Return the config as YAML, the command line, and the paths of a trial."""
    from orchestrator.reporting.recipe import command, config_text, paths

    results = facts.results
    lines = ["", f"trial {trial.number}", *(f"  {clean(line)}" for line in config_text(trial.config).splitlines())]
    line = command(results, trial)
    if line is not None:
        lines += ["", f"  {line}"]
    found = paths(results.sweep_dir, trial)
    return [*lines, "", *(f"  {what:11} {clean(path)}" for what, path in found.items() if path)]
