"""`sweep check`: say whether specs can be run, with every problem and its line."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.errors import ExitCode


def check(
    specs: Annotated[
        list[Path], typer.Argument(metavar="SPEC...", help="Sweep YAML files; - is standard input.", show_default=False)
    ],
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the spec; repeatable.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Count warnings as errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say whether specs can be run: every problem with its line, the reason and the fix. Exit code 0 or 2."""
    from orchestrator.spec import Reading, SpecError, load_file, parse_settings

    overrides = parse_settings(changes or [])
    readings: list[Reading] = []
    unreadable: list[str] = []
    for spec in specs:
        try:
            readings.append(load_file(spec, overrides=overrides))
        except SpecError as error:
            unreadable.append(str(error))
    failed = [r for r in readings if r.errors or (strict and r.warnings)]
    if as_json:
        typer.echo(json.dumps([_data(reading, strict=strict) for reading in readings], indent=2))
    else:
        for reading in readings:
            if reading.findings:
                typer.echo(reading.text() + "\n")
        for reading in readings:
            typer.echo(_summary(reading))
    for message in unreadable:
        typer.echo(f"error: {message}", err=True)
    if failed or unreadable:
        raise typer.Exit(ExitCode.USAGE)


def _summary(reading: "Reading") -> str:  # type: ignore[name-defined]  # noqa: F821 - imported where it is used
    counts = [(len(reading.errors), "error"), (len(reading.warnings), "warning")]
    found = ", ".join(f"{n} {what}{'s' if n > 1 else ''}" for n, what in counts if n)
    if reading.spec is None:
        return f"{reading.path}: {found}"
    n_parameters = len(reading.spec.parameters)
    what = f"{reading.spec.method}, {n_parameters} parameter{'s' if n_parameters != 1 else ''}"
    return f"{reading.path}: ok: {what}" + (f" ({found})" if found else "")


def _data(reading: "Reading", *, strict: bool) -> dict[str, object]:  # type: ignore[name-defined]  # noqa: F821 - as above
    runs = reading.spec is not None and not (strict and reading.warnings)
    return {"path": reading.path, "ok": runs, "findings": [asdict(finding) for finding in reading.findings]}
