"""From a sweep directory to an ended sweep: lock, cluster, search, controller, and what is said at the end."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.interrupts import Interrupts
from orchestrator.errors import ExitCode

if TYPE_CHECKING:
    from orchestrator.controller import Strategy
    from orchestrator.ledger.curves import Objective
    from orchestrator.ledger.paths import SweepDir
    from orchestrator.ledger.store import Ledger
    from orchestrator.progress import SweepEnded
    from orchestrator.spec import SweepSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a sweep runs, and how it is shown.

    Attributes:
        address: Of a Ray cluster; None for RAY_ADDRESS, else a Ray of the sweep's own.
        num_cpus: CPUs of a Ray of the sweep's own; None for all.
        num_gpus: Its GPUs; None for those there are.
    """

    address: str | None = None
    num_cpus: int | None = None
    num_gpus: int | None = None
    as_json: bool = False
    verbose: bool = False


def conduct(sweep_dir: "SweepDir", ledger: "Ledger", spec: "SweepSpec", place: Place) -> ExitCode:
    """Run a sweep from what its ledger holds to its end; the caller holds the lock and closes the ledger.

    Raises:
        SweepError: It cannot go on. Nothing is lost: `sweep resume` continues.
    """
    from orchestrator.cli.summary import say_end
    from orchestrator.cli.view import make_view
    from orchestrator.controller import Controller
    from orchestrator.execution.cluster import connect
    from orchestrator.execution.pool import RayPool
    from orchestrator.launching import Launcher

    record = ledger.sweep
    launcher = Launcher(spec=spec, sweep=record, sweep_dir=sweep_dir, environ=os.environ)
    view = make_view(as_json=place.as_json, verbose=place.verbose)
    strategy = _strategy(spec, record.seed)
    _write_experiment(sweep_dir, spec)
    cluster = connect(place.address, num_cpus=place.num_cpus, num_gpus=place.num_gpus, verbose=place.verbose)
    with cluster, Interrupts(resume_command(sweep_dir)) as interrupts:
        pool = RayPool(
            cluster,
            resources=spec.options.resources,
            runs_dir=sweep_dir.path,
            limit=spec.options.concurrency,
            cwd=record.cwd,
        )
        try:
            end: SweepEnded = Controller(
                spec=spec,
                launcher=launcher,
                ledger=ledger,
                pool=pool,
                strategy=strategy,
                view=view,
                interrupts=interrupts,
            ).run()
        finally:
            view.close()
            pool.close()
    if not place.as_json:
        say_end(end, spec, sweep_dir, ledger, launcher)
    return end.exit_code


def objectives(spec: "SweepSpec") -> tuple["Objective", ...]:
    """Return how the spec's metrics become scores."""
    from orchestrator.ledger.curves import Objective
    from orchestrator.spec.model import Goal

    last = spec.options.objective == "last"
    return tuple(
        Objective(name=metric.name, sign=-1.0 if metric.goal is Goal.MAXIMIZE else 1.0, last=last)
        for metric in spec.objectives
    )


def check_program(spec: "SweepSpec", cwd: str) -> None:
    """Find out before anything starts whether the program is there.

    Raises:
        ProgramError: It is not; the message says what was looked for.
    """
    from orchestrator.trial.command import expand, program_of

    argv = expand(spec.command, program=spec.program, config={}, env=os.environ, json_file="config.json")
    program_of(argv, program=spec.program, cwd=cwd)


def resume_command(sweep_dir: "SweepDir") -> str:
    """Return the command that goes on with a sweep, from the working directory."""
    from orchestrator.ledger.paths import DEFAULT_RUNS_DIR

    runs = sweep_dir.path.parent
    option = "" if runs == (Path.cwd() / DEFAULT_RUNS_DIR).resolve() else f" --runs-dir {runs}"
    return f"sweep resume {sweep_dir.sweep_id}{option}"


def _strategy(spec: "SweepSpec", seed: int) -> "Strategy":
    from orchestrator.controller import Strategy
    from orchestrator.search.factory import is_adaptive, make_search
    from orchestrator.space import SearchSpace
    from orchestrator.spec.model import Method
    from orchestrator.stopping.factory import make_rule

    space = SearchSpace.of(spec.parameters)
    size = space.cardinality
    if spec.method is Method.GRID:
        from orchestrator.space import Grid

        size = Grid.of(space).size
    if spec.options.allow_repeats and spec.method is not Method.GRID:
        size = None
    search = make_search(spec, space, seed)
    return Strategy(search=search, adaptive=is_adaptive(spec), rule=make_rule(spec), size=size)


def _write_experiment(sweep_dir: "SweepDir", spec: "SweepSpec") -> None:
    """Give TensorBoard's HParams page the whole sweep from its first second. Once."""
    if any(sweep_dir.path.glob("events.out.tfevents.*")):
        return
    import numpy as np

    from orchestrator.space import SearchSpace
    from orchestrator.space.discrete import Choice
    from orchestrator.trial.eventfile import write_experiment

    space = SearchSpace.of(spec.parameters)
    domains = {}
    for axis in space.axes:
        low, high = axis.ppf(np.array([0.001, 0.999]))
        domains[axis.name] = list(axis.values) if isinstance(axis, Choice) else (float(low), float(high))
    write_experiment(sweep_dir.path, domains, [metric.name for metric in spec.objectives])
