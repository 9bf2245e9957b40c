"""`sweep cluster`: a Ray on machines that are reached by ssh."""

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import JsonOption, SilentOption
from orchestrator.errors import ExitCode

if TYPE_CHECKING:
    from orchestrator.machines.cluster import Outcome


class Act(StrEnum):
    """What to do with a cluster."""

    UP = "up"
    DOWN = "down"
    STATUS = "status"


def cluster(
    act: Annotated[Act, typer.Argument(metavar="up|down|status", help="Start it, end it, or say how it stands.")],
    hosts: Annotated[Path, typer.Argument(metavar="HOSTS", help="The hosts file; its first host is the head.")],
    quiet: SilentOption = False,
    as_json: JsonOption = False,
) -> None:
    """Start Ray on the machines of a hosts file over ssh, keep it running there, say how it stands, or end it.

    On each machine a loop starts Ray again whenever it ends, until `down`. `up` leaves alone what runs. Nodes need a token,
    which lies on the machines in files that you alone can read. Exit code 1 when a machine could not be reached or started.
    """
    from orchestrator.machines import cluster as machines
    from orchestrator.machines.hosts import read_hosts
    from orchestrator.machines.ssh import Ssh

    found = read_hosts(hosts)
    with Ssh() as ssh:
        outcomes = {Act.UP: machines.up, Act.DOWN: machines.down, Act.STATUS: machines.status}[act](found, ssh)
    if as_json:
        typer.echo(json.dumps([_data(outcome) for outcome in outcomes], indent=2))
    elif not quiet:
        typer.echo("\n".join(_lines(outcomes)))
        if act is Act.UP and outcomes[0].standing == "up":
            typer.echo(f"on {outcomes[0].host.host}: sweep run SPEC --address auto")
    wanted = {"down"} if act is Act.DOWN else {"up", "down"} if act is Act.STATUS else {"up"}
    if any(outcome.standing not in wanted for outcome in outcomes):
        raise typer.Exit(ExitCode.NO_TRIAL_SUCCEEDED)


def _lines(outcomes: "Sequence[Outcome]") -> list[str]:
    from orchestrator.cli.paint import painter
    from orchestrator.cli.terminal import fitted
    from orchestrator.printable import clean
    from orchestrator.watch.text import folded, table

    paint = painter(sys.stdout)
    roles = {"up": "ok", "down": "margin", "starting": "warning", "failed": "error"}
    rows = [_cells(outcome, is_head=not n) for n, outcome in enumerate(outcomes)]
    head, *body = fitted(table(["host", "Ray", "since", "restarts", "GPUs", "address", ""], rows)).split("\n")
    shown = [paint("title", head)]
    for outcome, row, line in zip(outcomes, rows, body, strict=True):
        rest = line[len(row[0]) :].replace(row[1], paint(roles[outcome.standing], row[1]), 1)
        shown.append(line[: len(row[0])] + rest)
    for outcome in outcomes:
        if outcome.what:
            is_wrong = outcome.standing in {"failed", "starting"}
            said = f"{'error: ' if is_wrong else ''}{outcome.host.host}: {outcome.what}"
            shown += folded(clean(said), indent=0, hanging=2)
            shown += folded(clean(f"mend: {outcome.mend}"), indent=2, hanging=8) if outcome.mend else []
    return shown


def _cells(outcome: "Outcome", *, is_head: bool) -> list[str]:
    from orchestrator.printable import clean
    from orchestrator.reporting.wording import duration

    answer = outcome.answer or {}
    kept = answer.get("kept") or {}
    since = kept.get("since")
    gpus = outcome.host.gpus if outcome.host.gpus is not None else answer.get("gpus")
    return [
        clean(outcome.host.host),
        outcome.standing,
        "-" if since is None else f"{duration(max(0.0, answer['now'] - since))} ago",
        f"{kept['restarts']}" if kept else "-",
        "-" if gpus is None else f"{gpus}",
        clean(str(outcome.host.address or answer.get("address") or "-")),
        "head" if is_head else "",
    ]


def _data(outcome: "Outcome") -> dict[str, object]:
    answer = outcome.answer or {}
    kept = answer.get("kept") or {}
    return {
        "host": outcome.host.host,
        "standing": outcome.standing,
        "what": outcome.what or None,
        "mend": outcome.mend or None,
        "since": kept.get("since"),
        "restarts": kept.get("restarts"),
        "python": answer.get("python"),
        "ray": answer.get("ray"),
        "gpus": outcome.host.gpus if outcome.host.gpus is not None else answer.get("gpus"),
        "address": outcome.host.address or answer.get("address"),
    }
