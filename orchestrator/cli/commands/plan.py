"""`sweep plan`: what a sweep would run, without running it."""

import json
import math
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import ChangesOption, PythonOption, RunsDirOption, SpecArgument


def _finite(price: float | None) -> float | None:
    if price is not None and not math.isfinite(price):
        raise typer.BadParameter(f"{price} is no price of a GPU hour: a number such as 2.5", param_hint="--price")
    return price


def plan(
    spec: SpecArgument,
    n: Annotated[int, typer.Option("-n", min=0, help="How many of the first trials to show.")] = 5,
    changes: ChangesOption = None,
    price: Annotated[
        float | None, typer.Option(min=0, callback=_finite, help="Of a GPU hour; the spec's budget may have it.")
    ] = None,
    slots: Annotated[
        int | None, typer.Option(min=1, help="Trials at once, as on a cluster. Default: what fits here.")
    ] = None,
    python: PythonOption = None,
    runs_dir: RunsDirOption = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print the command lines alone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what a sweep would run, and what it would take at the pace of `sweep try`, without running it."""
    from orchestrator.cli import outlay
    from orchestrator.cli.paint import painter
    from orchestrator.cli.plan_text import as_data, lines
    from orchestrator.cli.preview import preview
    from orchestrator.cli.specs import held_against_script, not_found
    from orchestrator.control.pythons import pythons_of
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.reporting import pace
    from orchestrator.reporting.wording import command_line
    from orchestrator.session import check_program
    from orchestrator.spec import load_file, parse_settings

    reading = load_file(spec, overrides=parse_settings(changes or []))
    cwd = Path.cwd()
    pythons = pythons_of(reading.require(), cwd=str(cwd), environ=os.environ, option=python)
    check_program(reading.require(), str(cwd), pythons, spec)
    reading = held_against_script(reading).with_findings(not_found(reading.require(), pythons))
    found = preview(reading.require(), n_trials=n, cwd=cwd, environ=os.environ, pythons=pythons)
    if reading.warnings:
        typer.echo(reading.text(paint=painter(sys.stderr)) + "\n", err=True)
    runs = runs_dir_of(runs_dir)
    tried = pace.found(runs, found.spec, str(cwd))
    n_trials, node = found.n_trials, outlay.machine()
    takes = None
    if tried is not None:
        takes = outlay.outlay(found.spec, tried, n_trials=n_trials, node=node, runs=runs, slots=slots, price=price)
    for doubt in outlay.doubts(takes) if takes else ():
        typer.echo(f"warning: {doubt}\n", err=True)
    if as_json:
        warnings = [asdict(warning) for warning in reading.warnings]
        typer.echo(json.dumps({**as_data(found), "outlay": outlay.as_data(takes), "warnings": warnings}, indent=2))
        return
    more = outlay.rows(takes, command_line([str(spec)]))
    whole = () if quiet else lines(found, more, paint=painter(sys.stdout))
    for line in [command_line(trial.argv) for trial in found.trials] if quiet else whole:
        typer.echo(line)
