"""`sweep ls`: which sweeps there are."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.commands.keeping import ARCHIVE
from orchestrator.cli.elsewhere import AtOption
from orchestrator.cli.options import JsonOption, RunsDirOption, WhereOption
from orchestrator.cli.terminal import fitted
from orchestrator.errors import LedgerError, SweepError
from orchestrator.printable import clean
from orchestrator.reporting.wording import duration, number
from orchestrator.watch.text import table

if TYPE_CHECKING:
    from orchestrator.layout import SweepDir
    from orchestrator.ledger.reader import LedgerReader


def ls(
    where: WhereOption = None,
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Only those in this state, such as running; repeatable.")
    ] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", help="Only those with this tag; repeatable.")] = None,
    archived: Annotated[bool, typer.Option("--archived", help="List the archive instead.")] = False,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="Also those in other folders where you have started or listed sweeps.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print the ids alone.")] = False,
    runs_dir: RunsDirOption = None,
    _at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """List sweeps, the newest first."""
    from orchestrator.ledger import folders
    from orchestrator.ledger.paths import runs_dir as runs_dir_of

    runs = runs_dir_of(runs_dir)
    _check_states(state or [])
    others = [folder for folder in folders.remembered() if folder != runs.resolve()]
    there = [runs, *filter(folders.is_there, others)] if everywhere else [runs]
    rows = [row for folder in there for row in _rows(folder, archived=archived)]
    if everywhere:
        rows.sort(key=lambda row: row["created"], reverse=True)
    elif rows:
        folders.remember(runs)
    n_there = len(rows)
    rows = [row for row in rows if not state or row["state"] in state]
    rows = [row for row in rows if set(tags or ()) <= set(row["tags"])]
    rows = _passing(rows, where)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    if not n_there:
        where_not = "any folder known here" if everywhere else str((runs / ARCHIVE if archived else runs).resolve())
        hint = "; `sweep ls --everywhere` looks in others as well" if others and not everywhere else ""
        typer.echo(f"no sweeps in {where_not}{hint}", err=True)
    _warn(rows)
    if quiet:
        typer.echo("".join(f"{r['id']}\n" for r in rows), nl=False)
        return
    cells = [
        [r["id"], clean(r["name"]), r["state"], _count(r["trials"]), number(r["best"]), _ago(r["created"]), _about(r)]
        for r in rows
    ]
    header = ["id", "name", "state", "trials", "best", "started", "about"]
    if not any(row[-1] for row in cells):
        header, cells = header[:-1], [row[:-1] for row in cells]
    if everywhere:
        header.append("folder")
        cells = [[*row, clean(str(Path(r["path"]).parent))] for row, r in zip(cells, rows, strict=True)]
    typer.echo(fitted(table(header, cells)), nl=bool(rows))
    for line in (*_gpus(), *(clean(f"{r['id']}: {r['problem']}") for r in rows if r["problem"])):
        typer.echo(line)


def _rows(runs: Path, *, archived: bool) -> "list[dict[str, Any]]":
    """What is said of each sweep of a runs directory, or of its archive, the newest first."""
    from orchestrator.ledger.paths import all_sweeps
    from orchestrator.ledger.reader import LedgerReader

    rows = []
    for sweep_dir in all_sweeps(runs / ARCHIVE if archived else runs):
        try:
            with LedgerReader(sweep_dir.ledger_path, whole=False) as reader:
                rows.append(_sweep_data(sweep_dir, reader))
        except LedgerError as error:  # one broken sweep does not hide the others
            rows.append(_unreadable(sweep_dir, str(error)))
    return rows


def _warn(rows: "list[dict[str, Any]]") -> None:
    for r in rows:
        if r["damage"]:
            typer.echo(
                f"warning: {r['id']}: {clean(r['damage'][0].splitlines()[0])}; `sweep repair {r['id']}`", err=True
            )


def _gpus() -> list[str]:
    """Who has which GPU of this machine, and who is next, one line each; whoever that is, sweeps of other users included."""
    from orchestrator.execution.gpu_turns import holders, lock_dir

    directory = lock_dir()
    found = [] if directory is None else holders(directory)
    return [clean(f"GPU {gpu}: {who}{f'; {next_} waits' if next_ else ''}") for gpu, who, next_ in found]


def _check_states(wanted: list[str]) -> None:
    from orchestrator.ledger.records import SweepState

    allowed = [*SweepState, "damaged"]
    wrong = next((state for state in wanted if state not in allowed), None)
    if wrong is not None:
        raise SweepError(f"--state {clean(wrong)} is none of {', '.join(allowed)}")


def _about(row: "dict[str, Any]") -> str:
    tags = " ".join(f"#{tag}" for tag in row["tags"])
    return clean(": ".join(part for part in (tags, row["description"] or "") if part))


def _passing(rows: "list[dict[str, Any]]", where: list[str] | None) -> "list[dict[str, Any]]":
    if not where:
        return rows
    from orchestrator.reporting.filter import numbers, passing, texts

    columns = [texts(name, [str(row[name]) for row in rows]) for name in ("id", "name", "state")]
    columns += [texts("tags", [" ".join(row["tags"]) for row in rows])]
    columns += [texts("description", [row["description"] or "" for row in rows])]
    columns.append(numbers("trials", [sum((row["trials"] or {}).values()) for row in rows]))
    columns.append(numbers("best", [row["best"] for row in rows]))
    return [rows[i] for i in passing(" ".join(where), columns, len(rows))]


def _sweep_data(sweep_dir: "SweepDir", reader: "LedgerReader") -> dict[str, Any]:
    from orchestrator.ledger.lock import holder
    from orchestrator.ledger.records import SweepState
    from orchestrator.reporting.labels import read_labels

    who, labels = holder(sweep_dir.lock_path), read_labels(sweep_dir).sweep
    record, top, counts = reader.sweep(), reader.best(1), reader.counts()
    state = "damaged" if reader.damage else str(record.standing(who))
    outlook = reader.outlook() if state == SweepState.RUNNING else None
    return {
        "id": record.sweep_id,
        "name": record.name,
        "state": state,
        "problem": None if outlook is None else outlook.problem,
        "reason": record.reason,
        "description": labels.note or _described(record.spec_text),
        "tags": list(labels.tags),
        "created": record.created,
        "seed": record.seed,
        "trials": {str(s): n for s, n in counts.items()},
        "best": top[0].value if top else None,
        "path": str(sweep_dir.path),
        "wandb_sweep_id": record.wandb_sweep_id,
        "damage": list(reader.damage),
    }


def _described(spec_text: str) -> str | None:
    """The spec's description; looked for before the spec is read, for most have none."""
    if "description" not in spec_text:
        return None
    from orchestrator.spec import load_recorded
    from orchestrator.spec.findings import SpecError

    try:
        return load_recorded(spec_text).description
    except SpecError:
        return None


def _unreadable(sweep_dir: "SweepDir", why: str) -> dict[str, Any]:
    """What is known of a sweep whose ledger tells nothing: its directory."""
    unknown: dict[str, Any] = {"tags": []} | dict.fromkeys(
        ("description", "reason", "problem", "seed", "trials", "best", "wandb_sweep_id")
    )
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
