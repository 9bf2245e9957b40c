"""`sweep try`: run one trial of a spec here, without Ray or a sweep, and say what a sweep of it would see."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.options import ChangesOption, PythonOption, RunsDirOption, SpecArgument
from orchestrator.errors import ExitCode

if TYPE_CHECKING:
    from orchestrator.cli.trying import Tried
    from orchestrator.control.launching import Launcher
    from orchestrator.control.pythons import Pythons
    from orchestrator.spec import SweepSpec
    from orchestrator.trial.runner.runner import Runner


def try_(
    spec: SpecArgument,
    changes: ChangesOption = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many trials, one after the other.")] = 1,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Run this config: best.yaml, or a W&B param file.")
    ] = None,
    python: PythonOption = None,
    runs_dir: RunsDirOption = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print the directories alone.")] = False,
) -> None:
    """Run one trial in the foreground and say how it ended, what it reported, how fast, and where its runs are."""
    from orchestrator.cli import specs, trying_text
    from orchestrator.printable import clean
    from orchestrator.trial.contract.events import Cause
    from orchestrator.trial.runner.runner import Runner
    from orchestrator.watch.text import brief

    loaded, values, pythons = _read(spec, changes or [], python)
    configs = _configs(loaded, values, n, config)
    launcher = _launcher(loaded, spec, runs_dir, pythons)
    if not quiet:
        specs.say_pythons(pythons, str(Path.cwd()))
    tried: list[Tried] = []
    with counting() as interrupts:
        runner = Runner()
        try:
            for number, each in enumerate(configs):
                if not quiet:
                    typer.echo(f"trial {number}: {brief(each, width=110)}", err=True)
                tried.append(_try(runner, launcher, number, each, interrupts, quiet=quiet))
                told = [clean(str(tried[-1].launch.dir.path))] if quiet else _told(tried[-1], loaded)
                typer.echo("\n".join(told))
                if interrupts():
                    break
        finally:
            runner.close()
    _keep_pace(tried, launcher)
    if not quiet:
        typer.echo(clean("Interrupted." if interrupts() else trying_text.verdict(tried)))
    if interrupts() or any(each.ended.cause is not Cause.FINISHED for each in tried):
        raise typer.Exit(ExitCode.NO_TRIAL_SUCCEEDED)


def _keep_pace(tried: "list[Tried]", launcher: "Launcher") -> None:
    """Keep what good trials took, for `sweep plan` and `sweep run`; a failed one says nothing of others."""
    import time

    from orchestrator.reporting import pace
    from orchestrator.trial.contract.events import Cause

    good = [each for each in tried if each.ended.cause is Cause.FINISHED and each.took_s > 0]
    if not good:
        return
    metric = launcher.spec.objectives[0].name if launcher.spec.objectives else ""
    size, checkpoint_size = pace.sizes(each.launch.dir.path for each in good)
    kept = pace.Pace(
        took_s=tuple(each.took_s for each in good),
        n_rows=max(len(each.own_reports) for each in good),
        n_values=max(each.names.get(metric, 0) for each in good),
        size=size,
        checkpoint_size=checkpoint_size,
        tried=time.time(),
    )
    pace.keep(launcher.sweep_dir, launcher.spec, str(Path.cwd()), kept)


def _told(tried: "Tried", spec: "SweepSpec") -> list[str]:
    from orchestrator.cli import trying_text

    return ["", *trying_text.lines(tried, spec, Path.cwd()), ""]


def _read(
    path: Path, changes: list[str], python: str | None
) -> "tuple[SweepSpec, dict[tuple[str, ...], Any], Pythons]":
    """Return the spec, the values of parameters that were set, and what trials run in."""
    import os

    from orchestrator.cli import specs, trying
    from orchestrator.control.pythons import pythons_of
    from orchestrator.session import check_program
    from orchestrator.space import SearchSpace
    from orchestrator.spec import parse_settings

    keys, parameters = trying.split_settings(parse_settings(changes))
    loaded, warnings = specs.load(path, [f"{key}={text}" for key, text in keys.items()])
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    cwd = str(Path.cwd())
    pythons = pythons_of(loaded, cwd=cwd, environ=os.environ, option=python)
    check_program(loaded, cwd, pythons, path)
    specs.say_not_found(loaded, pythons, path)
    return loaded, trying.values_of(parameters, SearchSpace.of(loaded.parameters).order), pythons


def _configs(
    spec: "SweepSpec", values: Mapping[tuple[str, ...], Any], n: int, file: Path | None
) -> list[dict[str, Any]]:
    """Return the configs to try: the file's, or the first that a sweep would; with what was set in them."""
    import os

    from orchestrator.cli.preview import preview
    from orchestrator.cli.trying import config_file, with_values
    from orchestrator.errors import SweepError
    from orchestrator.printable import clean

    if file is None:
        found = preview(spec, n_trials=n, cwd=Path.cwd(), environ=os.environ).trials
        return [with_values(trial.config, values) for trial in found]
    if n > 1:
        raise SweepError("--config gives one config; leave out -n, or the file")
    config = config_file(file)
    for name in sorted(set(spec.parameters) ^ set(config)):
        where = "the config does not have it" if name in spec.parameters else "the spec does not have it"
        typer.echo(clean(f"warning: parameter {name}: {where}"), err=True)
    return [with_values(config, values)]


def _launcher(spec: "SweepSpec", path: Path, runs_dir: Path | None, pythons: "Pythons") -> "Launcher":
    from orchestrator.ledger.paths import runs_dir as runs_dir_of

    stem = spec.name or (Path(spec.program).stem if spec.program else path.stem)
    return launcher_in(runs_dir_of(runs_dir), spec, stem, pythons)


def launcher_in(runs: Path, spec: "SweepSpec", stem: str, pythons: "Pythons") -> "Launcher":
    """Return what builds the launches, in a directory that is no sweep's: it has no ledger."""
    import os
    import secrets
    import time

    from orchestrator.control.launching import Launcher
    from orchestrator.ledger.paths import create_sweep_dir, new_sweep_id
    from orchestrator.ledger.records import SweepRecord, SweepState

    name = f"try-{stem}"
    sweep_dir = create_sweep_dir(runs, name, new_sweep_id())
    record = SweepRecord(
        sweep_id=sweep_dir.sweep_id,
        name=name,
        spec_text="",
        seed=spec.options.seed if spec.options.seed is not None else secrets.randbits(31),
        state=SweepState.RUNNING,
        created=time.time(),
        cwd=str(Path.cwd()),
    )
    return Launcher(spec=spec, sweep=record, sweep_dir=sweep_dir, environ=os.environ, pythons=pythons)


def _try(
    runner: "Runner",
    launcher: "Launcher",
    number: int,
    config: Mapping[str, Any],
    interrupts: Callable[[], int],
    *,
    quiet: bool,
) -> "Tried":
    from dataclasses import replace

    from orchestrator.cli.trying import try_trial

    launch = launcher.launch(number, 0, config)
    cpus = launcher.spec.options.resources.cpu
    return try_trial(runner, replace(launch, cpus=cpus), interrupts, quiet=quiet)


@contextmanager
def counting() -> "Iterator[Callable[[], int]]":
    """Count Ctrl-C instead of ending: the trial is to end in order, and to be told about."""
    count = 0

    def count_one(_number: int, _frame: Any) -> None:
        nonlocal count
        count += 1
        if count == 1:
            typer.echo("\nAsking the trial to end. Ctrl-C again kills it.", err=True)

    before = {number: signal.signal(number, count_one) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: count
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
