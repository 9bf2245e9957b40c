"""How every command reads a spec: overrides applied, findings shown, one value out."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import typer

from orchestrator.control.pythons import Pythons
from orchestrator.printable import clean
from orchestrator.spec import Reading, SweepSpec, load_file, parse_settings
from orchestrator.spec.findings import Finding, Severity


def load(path: Path, changes: list[str], options: Mapping[str, object] | None = None) -> tuple[SweepSpec, list[str]]:
    """Return a spec and its warnings, one text each; what its script seems to refuse is one: trials tell for sure.

    Args:
        path: The YAML file; ``-`` is standard input.
        changes: ``KEY=VALUE`` texts of ``--set``.
        options: Values of other options by the spec key they stand for; None is an option that was not given.

    Raises:
        SpecError: The spec cannot be run; the message shows every finding.
    """
    reading = held_against_script(load_file(path, overrides=overrides(changes, options or {})))
    return reading.require(), [_line(reading.path, finding) for finding in reading.findings]


def default_name(spec: SweepSpec, path: Path) -> str:
    """Return what a sweep is called that nobody gave a name: as its program, else as its file."""
    if spec.program is None:
        return path.stem if str(path) != "-" else "sweep"
    return Path(spec.program.partition(":")[0].replace(".", "/") if ":" in spec.program else spec.program).stem


def say_pythons(pythons: Pythons, cwd: str) -> None:
    """Say which Python trials run in, before they do."""
    for number, line in enumerate(pythons.lines(cwd)):
        typer.echo(clean(f"{'' if number else 'python':6}  {line}"), err=True)


def held_against_script(reading: Reading, *, refuses: bool = False) -> Reading:
    """Return a reading with what its script, where it can be read, would refuse or miss: as warnings, or as it `refuses`."""
    from orchestrator.arguments.against_spec import findings

    if reading.spec is None:
        return reading
    found = findings(reading.spec, Path.cwd())
    return reading.with_findings(found if refuses else (replace(f, severity=Severity.WARNING) for f in found))


def not_found(spec: SweepSpec, pythons: Pythons) -> list[Finding]:
    """Return what the trials' Pythons do not find of what the program imports, as warnings: trials tell for sure."""
    from orchestrator.control import needs

    return [
        Finding(
            severity=Severity.WARNING,
            where="command" if spec.program is None else "program",
            message=f"{python} does not find what {program} imports: {', '.join(names)}",
            hint=f"`{shlex.quote(python)} -m pip install` it, or name the Python that has it: --python PATH",
        )
        for python, (program, names) in needs.not_found(spec, pythons, cwd=str(Path.cwd()), environ=os.environ).items()
    ]


def say_not_found(spec: SweepSpec, pythons: Pythons, path: Path) -> None:
    """Say it before trials run."""
    for finding in not_found(spec, pythons):
        typer.echo(f"warning: {_line(str(path), finding)}", err=True)


def overrides(changes: list[str], options: Mapping[str, object]) -> dict[str, str]:
    """Return what the command line changes, by spec key: `changes` and `options` as `load` has them.

    Raises:
        SpecError: A text of ``--set`` has no key or no value.
    """
    return {key: str(value) for key, value in options.items() if value is not None} | parse_settings(changes)


def _line(path: str, finding: Finding) -> str:
    mark = finding.mark
    at = "" if mark is None else (mark.option or f"{path}:{mark.line}:{mark.column}") + ": "
    hint = f" ({finding.hint})" if finding.hint else ""
    return clean(f"{at}{finding.where}: {finding.message}{hint}") if finding.where else finding.message
