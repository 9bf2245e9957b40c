"""`sweep check`: say whether specs can be run, with every problem and its line."""

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import completion
from orchestrator.cli.options import ChangesOption, SilentOption
from orchestrator.cli.paint import Paint, painter
from orchestrator.errors import ExitCode, ProgramError, SearchSpaceError
from orchestrator.watch.text import clean

if TYPE_CHECKING:
    from orchestrator.spec import Reading


def check(
    specs: Annotated[
        list[str],
        typer.Argument(
            metavar="SPEC",
            help="Sweep YAML files; - is standard input.",
            show_default=False,
            autocompletion=completion.specs,
        ),
    ],
    changes: ChangesOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Count warnings as errors.")] = False,
    quiet: SilentOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say whether specs can be run: every problem with its line, the reason and the fix. Exit code 0 or 2."""
    from orchestrator.spec import load_file, parse_settings

    overrides = parse_settings(changes or [])
    readings = [_tried(load_file(spec, overrides=overrides)) for spec in specs]
    if as_json:
        typer.echo(json.dumps([_data(reading, strict=strict) for reading in readings], indent=2))
    elif not quiet:
        typer.echo("\n".join(_report(readings, strict=strict)))
    if not all(_can_run(reading, strict=strict) for reading in readings):
        raise typer.Exit(ExitCode.USAGE)


def _tried(reading: "Reading") -> "Reading":
    """The reading with what can be said, here and now, about the program, the search and the script; nothing stays of it."""
    from orchestrator.cli.specs import held_against_script
    from orchestrator.session import check_program, check_search

    if reading.spec is None:
        return reading
    try:
        check_program(reading.spec, str(Path.cwd()), Path(reading.path))
        check_search(reading.spec, str(Path.cwd()))
    except ProgramError as error:
        return reading.refused(str(error), "command" if reading.spec.program is None else "program")
    except SearchSpaceError as error:
        return reading.refused(str(error), error.where)
    return held_against_script(reading, refuses=True)


def _report(readings: list["Reading"], *, strict: bool) -> list[str]:
    """Return all findings, then one line per spec, then the sum."""
    from orchestrator.spec.findings import WIDTH

    paint = painter(sys.stdout)
    width = min(WIDTH, shutil.get_terminal_size().columns) if sys.stdout.isatty() else WIDTH
    blocks = [reading.text(width=width, paint=paint) + "\n" for reading in readings if reading.findings]
    lines = blocks + [_summary(reading, strict=strict, paint=paint) for reading in readings]
    if len(readings) > 1:
        n_ok = sum(_can_run(reading, strict=strict) for reading in readings)
        lines.append(f"{n_ok} of {len(readings)} specs can be run")
    return lines


def _can_run(reading: "Reading", *, strict: bool) -> bool:
    return reading.spec is not None and not (strict and reading.warnings)


def _summary(reading: "Reading", *, strict: bool, paint: Paint) -> str:
    path = paint("place", clean(reading.path))
    counts = [(len(reading.errors), "error"), (len(reading.warnings), "warning")]
    found = ", ".join(f"{n} {what}{'s' if n > 1 else ''}" for n, what in counts if n)
    if reading.spec is None:
        return f"{path}: {paint('error', found)}"
    if not _can_run(reading, strict=strict):
        return f"{path}: {paint('error', found)}, refused by --strict"
    n_parameters = len(reading.spec.parameters)
    what = f"{reading.spec.method}, {n_parameters} parameter{'s' if n_parameters != 1 else ''}"
    return f"{path}: {paint('ok', 'ok')}: {what}" + (f" ({found})" if found else "")


def _data(reading: "Reading", *, strict: bool) -> dict[str, object]:
    findings = [asdict(finding) for finding in reading.findings]
    ok = _can_run(reading, strict=strict)
    return {"path": reading.path, "ok": ok, "findings": findings}
