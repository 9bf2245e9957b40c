"""How every command reads a spec: overrides applied, findings shown, one value out."""

from collections.abc import Mapping
from pathlib import Path

from orchestrator.spec import Reading, SweepSpec, load_file, parse_settings
from orchestrator.watch.text import clean


def load(path: Path, changes: list[str], options: Mapping[str, object] | None = None) -> tuple[SweepSpec, list[str]]:
    """Return a spec and its warnings, one text each; what its script seems to refuse is one: trials tell for sure.

    Args:
        path: The YAML file; ``-`` is standard input.
        changes: ``KEY=VALUE`` texts of ``--set``.
        options: Values of other options by the spec key they stand for; None is an option that was not given.

    Raises:
        SpecError: The spec cannot be run; the message shows every finding.
    """
    reading = load_file(path, overrides=overrides(changes, options or {}))
    spec = reading.require()
    reading = held_against_script(reading)
    return spec, [
        warning.message if not warning.where else f"{_place(reading.path, warning)}" for warning in reading.findings
    ]


def held_against_script(reading: Reading) -> Reading:
    """Return a reading with what its script, where it can be read, would refuse or miss."""
    from orchestrator.arguments.against_spec import findings

    return reading if reading.spec is None else reading.with_findings(findings(reading.spec, Path.cwd()))


def overrides(changes: list[str], options: Mapping[str, object]) -> dict[str, str]:
    """Return what the command line changes, by spec key: `changes` and `options` as `load` has them.

    Raises:
        SpecError: A text of ``--set`` has no key or no value.
    """
    return {key: str(value) for key, value in options.items() if value is not None} | parse_settings(changes)


def _place(path: str, warning: "object") -> str:
    from orchestrator.spec.findings import Finding

    assert isinstance(warning, Finding)
    mark = warning.mark
    at = "" if mark is None else (mark.option or f"{path}:{mark.line}:{mark.column}") + ": "
    hint = f" ({warning.hint})" if warning.hint else ""
    return clean(f"{at}{warning.where}: {warning.message}{hint}")
