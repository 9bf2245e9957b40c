"""`sweep ls`: which sweeps there are."""

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.options import JsonOption, RunsDirOption, WhereOption
from orchestrator.cli.terminal import fitted
from orchestrator.errors import LedgerError
from orchestrator.watch.text import clean, duration, number, table

if TYPE_CHECKING:
    from orchestrator.layout import SweepDir
    from orchestrator.ledger.reader import LedgerReader


def ls(
    where: WhereOption = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print the ids alone.")] = False,
    runs_dir: RunsDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """List sweeps, the newest first."""
    from orchestrator.ledger.paths import all_sweeps
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.ledger.reader import LedgerReader

    runs = runs_dir_of(runs_dir)
    rows = []
    for sweep_dir in all_sweeps(runs):
        try:
            with LedgerReader(sweep_dir.ledger_path, whole=False) as reader:
                rows.append(_sweep_data(sweep_dir, reader))
        except LedgerError as error:  # one broken sweep does not hide the others
            rows.append(_unreadable(sweep_dir, str(error)))
    rows = _passing(rows, where)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    if not rows and not where:
        typer.echo(f"no sweeps in {runs.resolve()}", err=True)
    for r in rows:
        if r["damage"]:
            typer.echo(
                f"warning: {r['id']}: {clean(r['damage'][0].splitlines()[0])}; `sweep repair {r['id']}`", err=True
            )
    if quiet:
        typer.echo("".join(f"{r['id']}\n" for r in rows), nl=False)
        return
    cells = [
        [r["id"], clean(r["name"]), r["state"], _count(r["trials"]), number(r["best"]), _ago(r["created"])]
        for r in rows
    ]
    typer.echo(fitted(table(["id", "name", "state", "trials", "best", "started"], cells)), nl=bool(rows))


def _passing(rows: "list[dict[str, Any]]", where: list[str] | None) -> "list[dict[str, Any]]":
    from orchestrator.reporting.filter import numbers, passing, texts

    if not where:
        return rows
    columns = [texts(name, [str(row[name]) for row in rows]) for name in ("id", "name", "state")]
    columns.append(numbers("trials", [sum((row["trials"] or {}).values()) for row in rows]))
    columns.append(numbers("best", [row["best"] for row in rows]))
    return [rows[i] for i in passing(" ".join(where), columns, len(rows))]


def _sweep_data(sweep_dir: "SweepDir", reader: "LedgerReader") -> dict[str, Any]:
    from orchestrator.ledger.lock import holder

    who = holder(sweep_dir.lock_path)
    record, top, counts = reader.sweep(), reader.best(1), reader.counts()
    return {
        "id": record.sweep_id,
        "name": record.name,
        "state": "damaged" if reader.damage else str(record.standing(who)),
        "reason": record.reason,
        "created": record.created,
        "seed": record.seed,
        "trials": {str(s): n for s, n in counts.items()},
        "best": top[0].value if top else None,
        "path": str(sweep_dir.path),
        "wandb_sweep_id": record.wandb_sweep_id,
        "damage": list(reader.damage),
    }


def _unreadable(sweep_dir: "SweepDir", why: str) -> dict[str, Any]:
    """What is known of a sweep whose ledger tells nothing: its directory."""
    unknown = dict.fromkeys(("reason", "seed", "trials", "best", "wandb_sweep_id"))
    return {
        "id": sweep_dir.sweep_id,
        "name": sweep_dir.path.name.rpartition("-")[0],
        "state": "damaged",
        "created": sweep_dir.path.stat().st_mtime,
        "path": str(sweep_dir.path),
        "damage": [why],
        **unknown,
    }


def _count(trials: dict[str, int] | None) -> str:
    return "-" if trials is None else str(sum(trials.values()))


def _ago(moment: float) -> str:
    return f"{duration(max(0.0, time.time() - moment))} ago"
