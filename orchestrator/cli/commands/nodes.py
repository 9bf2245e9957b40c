"""`sweep nodes`: whether each node of a cluster, or this machine, is fit for trials."""

import contextlib
import json
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import completion
from orchestrator.cli.elsewhere import WORDS, without
from orchestrator.cli.options import (
    AddressOption,
    ChangesOption,
    JsonOption,
    PinOption,
    PythonOption,
    RunsDirOption,
    SilentOption,
    VerboseOption,
    seconds,
)
from orchestrator.errors import ExitCode, SweepError

if TYPE_CHECKING:
    from orchestrator.execution.fitness import Examined, Wanted
    from orchestrator.execution.shares import Claim


def nodes(
    context: typer.Context,
    spec: Annotated[
        Path | None,
        typer.Argument(
            metavar="[SPEC]",
            help="A sweep's YAML file: what its program imports is looked for, too.",
            show_default=False,
            autocompletion=completion.specs,
        ),
    ] = None,
    address: AddressOption = None,
    changes: ChangesOption = None,
    python: PythonOption = None,
    pin: PinOption = None,
    wait: Annotated[str, typer.Option("--wait", metavar="TIME", help="How long a node may take to answer.")] = "30s",
    runs_dir: RunsDirOption = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="ADDRESS", help="Of a cluster elsewhere, by its head: see `sweep submit`. No SPEC."
        ),
    ] = None,
    quiet: SilentOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Say whether every node of a Ray cluster is fit for trials, or this machine, and how to mend what is not.

    Versions, GPUs and who holds their memory, disks, shared memory, clock, link, and whether the runs directory is seen; with a
    SPEC also whether its program is there and finds what it imports. Last, which sweeps have how much of the cluster, and who
    waits. Exit code 1 when a node is unfit.
    """
    from orchestrator.cli import nodes_text
    from orchestrator.cli.paint import painter
    from orchestrator.execution.fitness import findings
    from orchestrator.ledger.paths import runs_dir as runs_dir_of

    if at is not None:
        raise typer.Exit(_there(at, without(context.meta[WORDS], "--at"), spec))
    patience_s = seconds(wait, "--wait")
    is_cluster = (address or os.environ.get("RAY_ADDRESS") or "local") != "local"
    wanted = _wanted(spec, changes or [], python, pinned=is_cluster if pin is None else pin)
    if is_cluster:
        with _proof_in(runs_dir_of(runs_dir)) as proof:
            wanted = replace(wanted, runs_proof=proof)
            examined, sweeps = _on_cluster(address, wanted, patience_s, verbose=verbose)
    else:
        examined, sweeps = [_here(wanted, patience_s)], {}
    judged = [(node, findings(node, wanted)) for node in examined]
    if as_json:
        typer.echo(json.dumps(nodes_text.data(judged), indent=2))
    elif not quiet:
        shown = [*nodes_text.lines(judged, wanted, painter(sys.stdout)), *nodes_text.sweeps(sweeps)]
        typer.echo("\n".join(shown))
    if any(finding.unfit for _, found in judged for finding in found):
        raise typer.Exit(ExitCode.NO_TRIAL_SUCCEEDED)


def _there(at: str, words: Sequence[str], spec: Path | None) -> int:
    """Let a head look at its cluster; return the exit code from there.

    Raises:
        SweepError: A SPEC is given, or the head cannot be asked.
    """
    from orchestrator.cli.heads import run_there
    from orchestrator.printable import clean
    from orchestrator.remote.address import parse_address

    if spec is not None:
        raise SweepError(
            f"{clean(str(spec))} lies here, and --at {clean(at)} looks at the nodes there: leave the spec out. "
            "`sweep submit` looks at what its program needs."
        )
    return run_there(parse_address(at), words)


def _wanted(spec: Path | None, changes: Sequence[str], python: str | None, *, pinned: bool) -> "Wanted":
    from orchestrator.cli import specs
    from orchestrator.control import needs
    from orchestrator.control.pythons import pythons_of

    cwd = str(Path.cwd())
    if spec is None:
        return needs.of_any(cwd)
    loaded, _ = specs.load(spec, list(changes), {})
    pythons = pythons_of(loaded, cwd=cwd, environ=os.environ, option=python)
    return needs.of_spec(loaded, pythons, cwd=cwd, environ=os.environ, pinned=pinned)


@contextlib.contextmanager
def _proof_in(runs: Path) -> Iterator[tuple[str, str] | None]:
    """A file in the runs directory, or where that would be made, which only nodes read that see it; None where none can be."""
    place = next(path for path in (runs.absolute(), *runs.absolute().parents) if path.is_dir()).resolve()
    path, text = place / f".sweep-nodes-{secrets.token_hex(4)}", secrets.token_hex(16)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        typer.echo(f"warning: whether nodes see {place} is not known: {error.strerror}", err=True)
        yield None
        return
    try:
        yield str(path), text
    finally:
        path.unlink(missing_ok=True)


def _on_cluster(
    address: str | None, wanted: "Wanted", patience_s: float, *, verbose: bool
) -> "tuple[list[Examined], Mapping[str, Claim]]":
    from orchestrator.execution.ray.claims import living
    from orchestrator.execution.ray.cluster import connect
    from orchestrator.execution.ray.preflight import examine

    with connect(address, verbose=verbose):
        return living(partial(examine, wanted.questions(os.environ), patience_s=patience_s))


def _here(wanted: "Wanted", patience_s: float) -> "Examined":
    import socket

    from orchestrator.execution.fitness import Examined
    from orchestrator.execution.node_report import answer_within

    answer = answer_within(patience_s, wanted.questions(os.environ))
    if isinstance(answer, str):
        return Examined(host=socket.gethostname(), hangs_at=answer)
    return Examined(host=socket.gethostname(), answer=answer)
