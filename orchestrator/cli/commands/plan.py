"""`sweep plan`: what a sweep would run, without running it."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import ChangesOption, PythonOption, SpecArgument


def plan(
    spec: SpecArgument,
    n: Annotated[int, typer.Option("-n", min=0, help="How many of the first trials to show.")] = 5,
    changes: ChangesOption = None,
    python: PythonOption = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print the command lines alone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what a sweep would run, without running it."""
    from orchestrator.cli.paint import painter
    from orchestrator.cli.plan_text import as_data, lines
    from orchestrator.cli.preview import preview
    from orchestrator.cli.specs import held_against_script
    from orchestrator.control.pythons import pythons_of
    from orchestrator.reporting.wording import command_line
    from orchestrator.session import check_program
    from orchestrator.spec import load_file, parse_settings

    reading = load_file(spec, overrides=parse_settings(changes or []))
    cwd = Path.cwd()
    pythons = pythons_of(reading.require(), cwd=str(cwd), environ=os.environ, option=python)
    check_program(reading.require(), str(cwd), pythons, spec)
    reading = held_against_script(reading)
    found = preview(reading.require(), n_trials=n, cwd=cwd, environ=os.environ, pythons=pythons)
    if reading.warnings:
        typer.echo(reading.text(paint=painter(sys.stderr)) + "\n", err=True)
    if as_json:
        warnings = [asdict(warning) for warning in reading.warnings]
        typer.echo(json.dumps({**as_data(found), "warnings": warnings}, indent=2))
        return
    shown = [command_line(trial.argv) for trial in found.trials] if quiet else lines(found, paint=painter(sys.stdout))
    for line in shown:
        typer.echo(line)
