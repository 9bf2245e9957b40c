"""`sweep check`: say whether specs can be run, with every problem and its line."""

import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import completion
from orchestrator.cli.options import ChangesOption, PythonOption, SilentOption
from orchestrator.cli.paint import Paint, painter
from orchestrator.errors import ExitCode, ProgramError, SearchSpaceError
from orchestrator.printable import clean

if TYPE_CHECKING:
    from orchestrator.control.pythons import Pythons
    from orchestrator.spec import Reading, SweepSpec


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
    python: PythonOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Count warnings as errors.")] = False,
    quiet: SilentOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say whether specs can be run: every problem with its line, the reason and the fix. Exit code 0 or 2."""
    from orchestrator.spec import load_file, parse_settings

    overrides = parse_settings(changes or [])
    tried = [_tried(load_file(spec, overrides=overrides), python) for spec in specs]
    readings = [each.reading for each in tried]
    if as_json:
        typer.echo(json.dumps([_data(each, strict=strict) for each in tried], indent=2))
    elif not quiet:
        typer.echo("\n".join(_report(tried, strict=strict)))
    if not all(_can_run(reading, strict=strict) for reading in readings):
        raise typer.Exit(ExitCode.USAGE)


@dataclass(frozen=True, slots=True)
class _Tried:
    """A reading, and what its trials would run in; None where that could not be found."""

    reading: "Reading"
    pythons: "Pythons | None"


def _tried(reading: "Reading", python: str | None) -> _Tried:
    """The reading with what can be said, here and now, about its Python, program, search and script; nothing stays of it."""
    from orchestrator.control.pythons import pythons_of

    if reading.spec is None:
        return _Tried(reading, None)
    try:
        pythons = pythons_of(reading.spec, cwd=str(Path.cwd()), environ=os.environ, option=python)
    except ProgramError as error:
        return _Tried(reading.refused(str(error), _blamed(reading.spec)), None)
    return _Tried(_held(reading, reading.spec, pythons), pythons)


def _blamed(spec: "SweepSpec") -> str | None:
    """The key that says what trials run in, where one does."""
    if spec.options.python is not None:
        return "orchestrator.python"
    return None if spec.command is None else "command"


def _held(reading: "Reading", spec: "SweepSpec", pythons: "Pythons") -> "Reading":
    from orchestrator.cli.specs import held_against_script, not_found
    from orchestrator.session import check_program, check_search

    try:
        check_program(spec, str(Path.cwd()), pythons, Path(reading.path))
        check_search(spec, str(Path.cwd()))
    except ProgramError as error:
        return reading.refused(str(error), "command" if spec.program is None else "program")
    except SearchSpaceError as error:
        return reading.refused(str(error), error.where)
    return held_against_script(reading, refuses=True).with_findings(not_found(spec, pythons))


def _report(tried: list[_Tried], *, strict: bool) -> list[str]:
    """Return all findings, then per spec one line and its Python, then the sum."""
    from orchestrator.spec.findings import WIDTH

    paint = painter(sys.stdout)
    width = min(WIDTH, shutil.get_terminal_size().columns) if sys.stdout.isatty() else WIDTH
    readings = [each.reading for each in tried]
    blocks = [reading.text(width=width, paint=paint) + "\n" for reading in readings if reading.findings]
    lines = blocks + [line for each in tried for line in _account(each, strict=strict, paint=paint)]
    if len(readings) > 1:
        n_ok = sum(_can_run(reading, strict=strict) for reading in readings)
        lines.append(f"{n_ok} of {len(readings)} specs can be run")
    return lines


def _account(tried: _Tried, *, strict: bool, paint: Paint) -> list[str]:
    summary = _summary(tried.reading, strict=strict, paint=paint)
    if tried.pythons is None or not _can_run(tried.reading, strict=strict):
        return [summary]
    rows = tried.pythons.lines(Path.cwd())
    return [summary, *(f"  {paint('margin', '' if n else 'python'):6}  {clean(row)}" for n, row in enumerate(rows))]


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


def _data(tried: _Tried, *, strict: bool) -> dict[str, object]:
    reading = tried.reading
    findings = [asdict(finding) for finding in reading.findings]
    ok = _can_run(reading, strict=strict)
    return {
        "path": reading.path,
        "ok": ok,
        "findings": findings,
        "python": tried.pythons.data() if tried.pythons else None,
    }
