"""`sweep export`: the trials for other programs, and a spec to search next."""

import json
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.damage import say_damage
from orchestrator.cli.naming import sweep_named
from orchestrator.cli.options import RunsDirOption, SweepArgument, WhereOption
from orchestrator.cli.terminal import write_data
from orchestrator.errors import SweepError
from orchestrator.printable import clean

if TYPE_CHECKING:
    from orchestrator.reporting.facts import Facts
    from orchestrator.reporting.table import Table


class Format(StrEnum):
    """What `sweep export` writes."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    OPTUNA = "optuna"
    WANDB_YAML = "wandb-yaml"


BINARY = {Format.PARQUET: ".parquet", Format.OPTUNA: ".db"}
"""Formats that are no text, with the ending of their files."""


def export(
    sweep: SweepArgument = "last",
    to: Annotated[
        Format,
        typer.Option(help="What to write; optuna is a storage for optuna-dashboard, wandb-yaml a narrowed spec."),
    ] = Format.CSV,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="File. Default: standard output; for parquet and optuna, by name."),
    ] = None,
    where: WhereOption = None,
    use: Annotated[
        bool, typer.Option("--use", help="With what each trial used: cores, memory, GPUs (csv, json, parquet).")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but the file's path.")] = False,
    runs_dir: RunsDirOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --to json.")] = False,
) -> None:
    """Write the trials as CSV, JSON, parquet or an Optuna study, or a spec narrowed to the winners."""
    from orchestrator.ledger.paths import slug
    from orchestrator.reporting.facts import read_facts
    from orchestrator.reporting.filter import kept

    to = Format.JSON if as_json else to
    if use and to in {Format.OPTUNA, Format.WANDB_YAML}:
        raise SweepError(f"--use: {to} has no columns of what trials used\n  Write csv, json or parquet with it.")
    facts = kept(read_facts(sweep_named(sweep, runs_dir)), where)
    say_damage(facts.results)
    record = facts.results.record
    if to in BINARY:
        path = out or Path(f"{slug(record.name)}-{record.sweep_id}{BINARY[to]}")
        _explained(partial(_write_parquet, use=use) if to is Format.PARQUET else _write_optuna, facts, path)
        typer.echo(clean(str(path)))
        if to is Format.OPTUNA and not quiet:
            typer.echo(f"look at it with: optuna-dashboard sqlite:///{clean(str(path))}", err=True)
        return
    text = _text(facts, to, use=use)
    if out is None:
        write_data(text)
        return
    _explained(lambda _, path: path.write_text(text, encoding="utf-8"), facts, out)
    typer.echo(clean(str(out)))


def _table(facts: "Facts", *, use: bool) -> "Table":
    from orchestrator.reporting.table import table_of

    return table_of(facts.results, uses=facts.uses if use else None)


def _text(facts: "Facts", to: Format, *, use: bool) -> str:
    from orchestrator.reporting.narrow import narrowed
    from orchestrator.reporting.table import as_csv, as_records

    match to:
        case Format.WANDB_YAML:
            return narrowed(facts)
        case Format.JSON:
            return json.dumps(as_records(_table(facts, use=use)), indent=2, default=str) + "\n"
        case _:
            return as_csv(_table(facts, use=use))


def _write_parquet(facts: "Facts", path: Path, *, use: bool) -> None:
    from orchestrator.extras import need

    need("pyarrow", "--to parquet")
    import pyarrow as pa
    import pyarrow.parquet as pq

    from orchestrator.reporting.table import as_columns

    pq.write_table(pa.table(as_columns(_table(facts, use=use))), path)


def _write_optuna(facts: "Facts", path: Path) -> None:
    from orchestrator.reporting.study import write_study

    write_study(facts, path)


def _explained(write: Callable[["Facts", Path], object], facts: "Facts", path: Path) -> None:
    try:
        write(facts, path)
    except OSError as error:
        raise SweepError(f"{path}: {error.strerror or error}\n  Say where to write with -o.") from None
