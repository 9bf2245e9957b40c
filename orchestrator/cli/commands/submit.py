"""`sweep submit`: run a sweep on a cluster that this machine is no part of."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator import layout
from orchestrator.cli.options import (
    AddressOption,
    ChangesOption,
    ConcurrencyOption,
    CountOption,
    CpusPerTrialOption,
    GpusPerTrialOption,
    NameOption,
    PriorOption,
    RunsDirThereOption,
    SeedOption,
    SpecArgument,
    WaitOption,
    seconds,
)
from orchestrator.remote.address import parse_address
from orchestrator.remote.parcel import Parcel, packed
from orchestrator.remote.request import LAND
from orchestrator.reporting.wording import amount

if TYPE_CHECKING:
    from orchestrator.project.listing import Project
    from orchestrator.spec import SweepSpec


def submit(
    spec: SpecArgument,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="ADDRESS", help="The head: http://HOST:8265 (Ray's job server) or ssh://USER@HOST."
        ),
    ],
    count: CountOption = None,
    concurrency: ConcurrencyOption = None,
    gpus_per_trial: GpusPerTrialOption = None,
    cpus_per_trial: CpusPerTrialOption = None,
    seed: SeedOption = None,
    changes: ChangesOption = None,
    prior: PriorOption = None,
    python: Annotated[
        str | None, typer.Option("--python", metavar="PATH", help="Trials' Python there. Default: as found there.")
    ] = None,
    name: NameOption = None,
    address: AddressOption = None,
    wait: WaitOption = "10m",
    runs_dir: RunsDirThereOption = None,
    detach: Annotated[bool, typer.Option("-d", "--detach", help="Return once the sweep has begun there.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print the sweep's id alone.")] = False,
) -> None:
    """Run a sweep on a cluster elsewhere and watch it; Ctrl-C leaves, and so does closing this machine: the sweep goes on.

    The project goes along as a copy, and trials run from that. A --prior that is here goes along, too; others are looked for
    there.
    """
    from orchestrator.cli import specs
    from orchestrator.cli.heads import Controller, control, request_of
    from orchestrator.ledger.paths import new_sweep_id, slug
    from orchestrator.project.listing import project_of

    head_address = parse_address(to)
    seconds(wait, "--wait")
    options = {
        "run_cap": count,
        "orchestrator.concurrency": concurrency,
        "orchestrator.resources.gpu": gpus_per_trial,
        "orchestrator.resources.cpu": cpus_per_trial,
        "orchestrator.seed": seed,
    }
    loaded, warnings = specs.load(spec, changes or [], options)
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    sweep_id = new_sweep_id()
    words = ["--id", sweep_id, "--wait", wait, *(word for change in changes or [] for word in ("--set", change))]
    given = {
        "--count": count,
        "--concurrency": concurrency,
        "--gpus-per-trial": gpus_per_trial,
        "--cpus-per-trial": cpus_per_trial,
        "--seed": seed,
        "--python": python,
        "--name": name or (specs.default_name(loaded, spec) if loaded.name is None else None),
        "--address": address,
    }
    words += [word for option, value in given.items() if value is not None for word in (option, str(value))]
    known, theirs = _prior(prior or [], loaded)
    words += [word for source in theirs for word in ("--prior", source)]
    project = project_of(Path.cwd())
    parcel, data = packed(_parcel(spec, loaded, project, words, known), project)
    if not quiet:
        _show_plan(loaded, project, parcel, len(data), str(head_address))
    controller = Controller(
        address=head_address,
        job_id=f"sweep-{slug(name or loaded.name or spec.stem)}-{sweep_id}",
        request=request_of([LAND], runs_dir=runs_dir),
        stdin=data,
    )
    code = control(controller, detach=detach, quiet=quiet)
    if code:
        raise typer.Exit(code)


def _prior(sources: Sequence[str], spec: "SweepSpec") -> tuple[str, list[str]]:
    """Return the trials of those sources that are here, as they are sent, and the sources that the head has to find.

    Raises:
        SweepError: One that is here has nothing that can be used.
    """
    from orchestrator.control.prior_sources import gather, written
    from orchestrator.errors import UnknownSweepError
    from orchestrator.ledger.paths import runs_dir

    trials, theirs = [], []
    for source in sources:
        try:
            trials += gather([source], spec, runs_dir(None))[0]
        except UnknownSweepError:
            theirs.append(source)
    return written(trials), theirs


def _parcel(spec: Path, loaded: "SweepSpec", project: "Project", words: list[str], prior: str) -> Parcel:
    """What is sent, yet without the project's files."""
    from orchestrator.cli.heads import version
    from orchestrator.spec import dump

    is_stdin = str(spec) == "-"
    return Parcel(
        project=project.root.name,
        cwd=project.cwd,
        entries={},
        git=None,
        spec_name=layout.SPEC if is_stdin else spec.name,
        spec_text=dump(loaded) if is_stdin else spec.read_text(encoding="utf-8-sig"),
        words=words,
        prior=prior,
        version=version(),
    )


def _show_plan(spec: "SweepSpec", project: "Project", parcel: Parcel, size: int, to: str) -> None:
    """Say what will run, what goes along, and where to."""
    from orchestrator.cli.paint import painter
    from orchestrator.cli.plan_text import brief
    from orchestrator.cli.preview import preview

    found = preview(spec, n_trials=0, cwd=Path.cwd(), environ=os.environ)
    commit = "" if parcel.git is None else f", commit {parcel.git['sha'][:10]}"
    changed = " with changes" if parcel.git is not None and parcel.git["diff"] else ""
    sends = f"{project.root}: {len(parcel.entries):,} files, {amount(size)}{commit}{changed}"
    title, *lines = brief(found, [("sends", sends), ("to", to)])
    for line in (painter(sys.stderr)("title", title), *lines):
        typer.echo(line, err=True)
