"""What is said of a ledger that cannot be read as a whole."""

from typing import TYPE_CHECKING

import typer

from orchestrator.printable import clean

if TYPE_CHECKING:
    from orchestrator.reporting.results import Results


def say_damage(results: "Results") -> None:
    """Say on standard error what of a sweep could not be read, and what to do about it."""
    if results.damage:
        typer.echo(f"warning: {damage_line(results.damage)}", err=True)
        typer.echo(f"  The rest is shown. `sweep repair {results.sweep_dir.sweep_id}` rebuilds the ledger.", err=True)


def damage_line(damage: "tuple[str, ...] | list[str]") -> str:
    """Return one line about what is damaged."""
    more = f" (and {len(damage) - 1} more)" if len(damage) > 1 else ""
    return f"the ledger is damaged: {clean(damage[0])[:200]}{more}"
