"""What a sweep would do, as a value: its space, its first configs with their command lines, and its limits."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from orchestrator.arguments.command import expand, program_of
from orchestrator.control.pythons import Pythons, own_pythons
from orchestrator.layout import SweepDir
from orchestrator.ledger.paths import DEFAULT_RUNS_DIR
from orchestrator.search.factory import make_search
from orchestrator.search.protocol import NotYet, Pending, Sweep
from orchestrator.search.strategies import keeps_a_study
from orchestrator.space import Grid, SearchSpace
from orchestrator.space.axis import Axis, shown
from orchestrator.space.grid import Column
from orchestrator.space.nesting import Path
from orchestrator.spec.model import Beta, Categorical, Gaussian, Json, Kind, Leaf, Method, SweepSpec
from orchestrator.stopping.rungs import bands
from orchestrator.trial.contract.launch import Program

EXAMPLE_SEED = 0
"""Seed of the configs that are shown for a spec without one."""

EXAMPLE_DIR = SweepDir(FilePath(DEFAULT_RUNS_DIR, "SWEEP"))
"""What ``${args_json_file}`` is shown as: the sweep's directory gets its name when it starts."""


N_SHOWN = 8
"""Up to so many values of a stepped range are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterPreview:
    """One parameter.

    Attributes:
        path: The names that lead to it.
        values: Its values in words.
        log: Whether it is spread over decades.
        n_values: How many different values it can take; None if not finite, 1 for a constant.
    """

    path: Path
    kind: Kind
    values: str
    log: bool
    n_values: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPreview:
    """One of the first trials: its config and the command line that would run it."""

    number: int
    config: Mapping[str, Json]
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would run.

    Attributes:
        n_configs: How many different configs there are; None if not finite.
        n_trials: How many trials the sweep would run; None if nothing but the user ends it.
        n_dimensions: How many parameters vary.
        seed: The seed of `trials`: the spec's, or an example.
        program: What the first command line runs, and whether it starts warm; None without trials.
        pythons: What trials run in.
        cwd: Where they run.
        rungs: The reports at which early termination judges, ascending; empty without rungs.
    """

    spec: SweepSpec
    n_configs: int | None
    n_trials: int | None
    n_dimensions: int
    seed: int
    parameters: tuple[ParameterPreview, ...]
    trials: tuple[TrialPreview, ...]
    program: Program | None
    rungs: tuple[int, ...]
    pythons: Pythons
    cwd: str


def preview(
    spec: SweepSpec,
    *,
    n_trials: int,
    cwd: str | os.PathLike[str],
    environ: Mapping[str, str],
    pythons: Pythons | None = None,
) -> Preview:
    """Return what `spec` would run from directory `cwd`, with its first `n_trials` trials.

    These trials are the sweep's own when the spec has a seed (and for a grid in W&B's order); a search that learns is
    shown as it starts, before any result.

    Its trials run in `pythons`; None is the Python that runs this.

    Raises:
        SearchSpaceError: The method does not fit the parameters.
        ProgramError: The program does not exist, or the command cannot be expanded.
    """
    space = SearchSpace.of(spec.parameters)
    grid = Grid.of(space) if spec.method is Method.GRID else None
    seed = EXAMPLE_SEED if spec.options.seed is None else spec.options.seed
    sweep = Sweep(id="plan", name=spec.name or "", cwd=str(cwd), rehearsal=True)
    pythons = pythons or own_pythons()
    trials = _first_trials(spec, space, seed, n_trials, environ, sweep)
    n_configs = _n_configs(spec, space, grid)
    return Preview(
        spec=spec,
        n_configs=n_configs,
        n_trials=_n_trials(spec, n_configs),
        n_dimensions=space.n_axes,
        seed=seed,
        parameters=_parameters(space, grid),
        trials=trials,
        program=_program(spec, trials[0], cwd, pythons) if trials else None,
        pythons=pythons,
        cwd=str(cwd),
        rungs=tuple(bands(spec.early_terminate)) if spec.early_terminate else (),
    )


def n_trials_of(spec: SweepSpec) -> int | None:
    """Return how many trials a sweep of `spec` will have; None if nothing but the user ends it.

    Raises:
        SearchSpaceError: The method does not fit the parameters.
    """
    space = SearchSpace.of(spec.parameters)
    grid = Grid.of(space) if spec.method is Method.GRID else None
    return _n_trials(spec, _n_configs(spec, space, grid))


def _n_trials(spec: SweepSpec, n_configs: int | None) -> int | None:
    return min((limit for limit in (n_configs, spec.run_cap) if limit is not None), default=None)


def _program(spec: SweepSpec, trial: TrialPreview, cwd: str | os.PathLike[str], pythons: Pythons) -> Program:
    return program_of(trial.argv, program=spec.program, cwd=cwd, found=pythons.of(trial.config))


def _first_trials(
    spec: SweepSpec, space: SearchSpace, seed: int, n_trials: int, environ: Mapping[str, str], sweep: Sweep
) -> tuple[TrialPreview, ...]:
    search = make_search(spec, space, seed, sweep)
    pending: list[Pending] = []
    for number in range(n_trials):
        try:
            config = search.suggest(number, (), pending)
        except NotYet:
            break
        if config is None:
            break
        pending.append(Pending(number=number, config=config))
    return tuple(_trial(spec, trial.number, trial.config, environ) for trial in pending)


def _trial(spec: SweepSpec, number: int, config: Mapping[str, Any], environ: Mapping[str, str]) -> TrialPreview:
    argv = expand(
        spec.command,
        program=spec.program,
        config=config,
        env=environ,
        json_file=str(EXAMPLE_DIR.trial(number).config_json_path),
    )
    return TrialPreview(number=number, config=config, argv=tuple(argv))


def _n_configs(spec: SweepSpec, space: SearchSpace, grid: Grid | None) -> int | None:
    if grid is not None:
        return grid.size
    repeats = spec.options.allow_repeats or not spec.parameters or keeps_a_study(spec)
    return None if repeats else space.cardinality


def _parameters(space: SearchSpace, grid: Grid | None) -> tuple[ParameterPreview, ...]:
    found: dict[Path, ParameterPreview] = {}
    for path, value in space.constants.items():
        found[path] = ParameterPreview(
            path=path, kind=Kind.CONSTANT, values=f"always {shown(value)}", log=False, n_values=1
        )
    for i, axis in enumerate(space.axes):
        n_values, values = (axis.n_values, axis.allowed) if grid is None else _on_grid(axis, grid.columns[i])
        values += _shape(space.leaves[i])
        found[axis.path] = ParameterPreview(
            path=axis.path, kind=axis.kind, values=values, log=axis.is_log, n_values=n_values
        )
    return tuple(found[path] for path in space.order)


def _shape(leaf: Leaf) -> str:
    """Return what a distribution has besides its range."""
    if isinstance(leaf, Gaussian):
        return f"; mu {leaf.mu:g}, sigma {leaf.sigma:g}"
    if isinstance(leaf, Beta):
        return f"; a {leaf.a:g}, b {leaf.b:g}"
    if isinstance(leaf, Categorical) and leaf.probabilities is not None:
        listed = ", ".join(f"{p:g}" for p in leaf.probabilities[:N_SHOWN])
        return f"; probabilities {listed}" + (", ..." if len(leaf.probabilities) > N_SHOWN else "")
    return ""


def _on_grid(axis: Axis, column: Column) -> tuple[int, str]:
    """Return how many values a grid visits, and which: it steps from min, not through the multiples of q."""
    if axis.kind is not Kind.Q_UNIFORM:
        return column.n, axis.allowed
    visited = [column.value(i) for i in (range(column.n) if column.n <= N_SHOWN else (0, 1, column.n - 1))]
    words = [f"{value:.6g}" for value in visited]
    return column.n, ", ".join(words if column.n <= N_SHOWN else (f"{words[0]}, {words[1]}, ... {words[2]}",))
