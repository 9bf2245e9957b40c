"""`sweep run`: start a sweep and see it to its end."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import (
    WAIT,
    AddressOption,
    ChangesOption,
    ConcurrencyOption,
    CountOption,
    CpusPerTrialOption,
    DetachOption,
    EventsOption,
    GpusOption,
    GpusPerTrialOption,
    NameOption,
    NumCpusOption,
    NumGpusOption,
    PinOption,
    PlainOption,
    PriorOption,
    PythonOption,
    QuietOption,
    RunsDirOption,
    SeedOption,
    SpecArgument,
    StorageOption,
    VerboseOption,
    WaitOption,
    cluster_options,
)
from orchestrator.errors import ClusterError, ExitCode, ProgramError, SearchSpaceError

if TYPE_CHECKING:
    from orchestrator.reporting.pace import Pace
    from orchestrator.session import ClusterOptions
    from orchestrator.spec import SweepSpec


def _checked_id(given: str | None) -> str | None:
    """An id that `sweep submit` drew, so that an answer that got lost loses no sweep."""
    from orchestrator.ledger.paths import ALPHABET, ID_LENGTH

    if given is not None and not (len(given) == ID_LENGTH and set(given) <= set(ALPHABET)):
        raise typer.BadParameter(f"{given!r} is no id of a sweep: {ID_LENGTH} of {ALPHABET}", param_hint="--id")
    return given


def run(
    spec: SpecArgument,
    count: CountOption = None,
    concurrency: ConcurrencyOption = None,
    gpus_per_trial: GpusPerTrialOption = None,
    cpus_per_trial: CpusPerTrialOption = None,
    seed: SeedOption = None,
    changes: ChangesOption = None,
    prior: PriorOption = None,
    python: PythonOption = None,
    pin: PinOption = None,
    name: NameOption = None,
    address: AddressOption = None,
    num_cpus: NumCpusOption = None,
    num_gpus: NumGpusOption = None,
    gpus: GpusOption = None,
    wait: WaitOption = WAIT,
    detach: DetachOption = False,
    plain: PlainOption = False,
    runs_dir: RunsDirOption = None,
    storage: StorageOption = None,
    quiet: QuietOption = False,
    as_json: EventsOption = False,
    verbose: VerboseOption = False,
    id_: Annotated[str | None, typer.Option("--id", hidden=True, callback=_checked_id)] = None,
) -> None:
    """Run a sweep on this machine or on a Ray cluster. Ctrl-C stops and keeps everything; `sweep resume` goes on."""
    from orchestrator import session
    from orchestrator.cli import foreground, own_view, specs
    from orchestrator.control import prior_sources as priors
    from orchestrator.control.pythons import pythons_of
    from orchestrator.ledger.curves import objectives_of
    from orchestrator.ledger.paths import new_sweep_id
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.ledger.store import Ledger
    from orchestrator.printable import clean
    from orchestrator.reporting import pace
    from orchestrator.search.protocol import Keeper

    departure = own_view.leave(plain=plain, detach=detach, as_json=as_json, quiet=quiet, verbose=verbose)
    as_json = as_json and departure is None
    options = {
        "run_cap": count,
        "orchestrator.concurrency": concurrency,
        "orchestrator.resources.gpu": gpus_per_trial,
        "orchestrator.resources.cpu": cpus_per_trial,
        "orchestrator.seed": seed,
        "orchestrator.storage": storage,
    }
    cluster = cluster_options(
        address=address, num_cpus=num_cpus, num_gpus=num_gpus, gpus=gpus, wait=wait, pin=pin, verbose=verbose
    )
    loaded, warnings = specs.load(spec, changes or [], options)
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    cwd = str(Path.cwd())
    pythons = pythons_of(loaded, cwd=cwd, environ=os.environ, option=python)
    session.check_program(loaded, cwd, pythons, spec)
    specs.say_not_found(loaded, pythons, spec)
    known, account = priors.gather(prior or [], loaded, runs_dir_of(runs_dir))
    for line in account:
        typer.echo(clean(line), err=True)
    name = name or loaded.name or specs.default_name(loaded, spec)
    sweep_id, seed_ = id_ or new_sweep_id(), session.seed_of(loaded)
    strategy = session.early_strategy(
        loaded, seed_, known, session.searched(loaded, sweep_id=sweep_id, name=name, cwd=cwd)
    )
    source = spec.read_text(encoding="utf-8-sig") if str(spec) != "-" else None
    sweep_dir = session.create(
        loaded,
        name=name,
        sweep_id=sweep_id,
        seed=seed_,
        runs=runs_dir_of(runs_dir),
        source_path=spec if source is not None else None,
        source_text=source,
        prior=known,
    )
    tried = pace.found(runs_dir_of(runs_dir), loaded, cwd)
    if tried is not None:
        pace.keep(sweep_dir, loaded, cwd, tried)
    with Ledger.open(sweep_dir) as ledger:
        try:
            ledger.load(objectives_of(loaded))
            if not (as_json or quiet):
                typer.echo(f"sweep {sweep_dir.sweep_id} in {sweep_dir.path}", err=True)
                specs.say_pythons(pythons, cwd)
            if tried is not None:
                _say_outlay(loaded, tried, sweep_dir.path, cluster, is_silent=as_json or quiet)
            code = foreground.conduct(
                sweep_dir,
                ledger,
                loaded,
                cluster,
                as_json=as_json,
                quiet=quiet,
                pythons=pythons,
                strategy=strategy,
                departure=departure,
            )
        except (ClusterError, ProgramError, SearchSpaceError):
            if not ledger.trials():  # nothing has begun: there is nothing to go on with
                shutil.rmtree(sweep_dir.path, ignore_errors=True)
                if strategy is not None and isinstance(strategy.search, Keeper):
                    strategy.search.abandon()
            raise
    if code is not ExitCode.DONE:
        raise typer.Exit(code)


def _say_outlay(spec: "SweepSpec", pace: "Pace", runs: Path, cluster: "ClusterOptions", *, is_silent: bool) -> None:
    """Say what it will take, at the pace of trials that were tried, and what of that can hardly be meant."""
    from orchestrator.cli import outlay
    from orchestrator.cli.preview import n_trials_of

    found = outlay.outlay(
        spec,
        pace,
        n_trials=n_trials_of(spec),
        node=outlay.machine(cluster.num_cpus, cluster.num_gpus if cluster.gpus is None else len(cluster.gpus)),
        runs=runs,
        elsewhere=cluster.is_cluster,
    )
    if not is_silent:
        typer.echo(f"takes   {outlay.line(found)}", err=True)
    for doubt in outlay.doubts(found):
        typer.echo(f"warning: {doubt}", err=True)
