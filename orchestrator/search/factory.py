"""From a spec to its search: the one module that names every concrete strategy."""

from contextlib import suppress
from dataclasses import replace

from orchestrator.errors import SearchSpaceError
from orchestrator.extras import lacking
from orchestrator.search.draws import DrawSearch, Points, SobolPoints, uniform_points
from orchestrator.search.first import FirstThen, completed
from orchestrator.search.grid import GridSearch
from orchestrator.search.optuna_samplers import SAMPLERS, StudySampler
from orchestrator.search.protocol import Config, Observation, Outcome, Search, Sweep
from orchestrator.space import SearchSpace
from orchestrator.spec.model import Method, Scheduler, SweepSpec
from orchestrator.spec.options import canonical

MAX_GP_OBJECTIVES = 3
"""The hypervolume of more objectives takes a Gaussian process too long; TPE has no such limit."""

N_WARM_UP = 12
"""Trials that a search is told of to make it think."""


def make_search(spec: SweepSpec, space: SearchSpace, seed: int, sweep: Sweep | None = None) -> Search:
    """Return the search that a spec asks for.

    Args:
        spec: The whole spec.
        space: The space of the spec's parameters.
        seed: Where all randomness comes from: the spec's own seed, or the one drawn for the sweep; not negative.
        sweep: What it is for, where the user's own code may ask; None for a sweep of no name.

    Raises:
        SearchSpaceError: The method, sampler or scheduler does not fit the space, or is not installed.
    """
    _check(spec)
    if _strategy(spec) == "source":
        from orchestrator.search.source import SourceSearch

        return SourceSearch(spec, space, seed, sweep or Sweep())
    if _strategy(spec) == "ax":
        from orchestrator.search.ax_client import AxSearch

        return AxSearch(spec, seed, sweep or Sweep())
    first = completed(spec.options.first, space, seed)
    then = _search(spec, space, seed, first)
    return FirstThen(first, then) if first else then


def check_search(spec: SweepSpec, sweep: Sweep | None = None) -> None:
    """Find out whether a spec's search can be made, and leave nothing behind. Quick where nothing unknown can go wrong.

    Raises:
        SearchSpaceError: As `make_search`.
    """
    space = SearchSpace.of(spec.parameters)
    if is_known_to_work(spec):
        _check(spec)
        return
    make_search(spec, space, 0, replace(sweep or Sweep(), rehearsal=True))


def is_known_to_work(spec: SweepSpec) -> bool:
    """Return whether a search can only be refused for what needs no heavy import to be seen."""
    return _strategy(spec) == "gp" and bool(spec.objectives) and not spec.options.sampler_options


def _check(spec: SweepSpec) -> None:
    if spec.options.sampler_options and _strategy(spec) not in SAMPLERS:
        raise SearchSpaceError(
            f"orchestrator.sampler.options: {_strategy(spec)} has none; those that have: {', '.join(SAMPLERS)}",
            where="orchestrator.sampler",
        )
    if is_adaptive(spec) and not spec.objectives:
        raise SearchSpaceError(
            f"method {spec.method.value}: without a metric there is nothing to learn from; add one", where="method"
        )
    _check_installed(spec)


def _check_installed(spec: SweepSpec) -> None:
    strategy, key = _strategy(spec), "orchestrator.sampler" if spec.scheduler is None else "scheduler.engine"
    who, libraries = f"{key}: {strategy}", ("optuna", *SAMPLERS[strategy].needs) if strategy in SAMPLERS else ()
    if strategy == "source":
        who, libraries = f"{key}: optuna", ("optuna",)
    elif strategy == "ax":
        libraries = ("ax",)
    elif _is_replaced(spec):
        who, libraries = f"{key}: with {len(spec.objectives)} metrics gp is Optuna's tpe, which", ("optuna",)
    for said in filter(None, map(lacking, libraries)):
        raise SearchSpaceError(f"{who} {said}", where=key)


def keeps_a_study(spec: SweepSpec) -> bool:
    """Return whether the user's own study or client decides what is tried, and how often."""
    return _strategy(spec) in {"source", "ax"}


def warm_up(spec: SweepSpec) -> None:
    """Let the spec's search import what it will want, and think once: seconds that a slot would wait for.

    For a thread of its own while the cluster comes up; what goes wrong is told when the search is asked in earnest.
    """
    with suppress(Exception):
        if keeps_a_study(spec):  # the user's code may mind being asked
            import torch  # noqa: F401
        elif is_adaptive(spec):
            _think_once(spec)


def _think_once(spec: SweepSpec) -> None:
    space = SearchSpace.of(spec.parameters)
    points = uniform_points(space.n_axes, 0)
    tried = [
        Observation(
            number=i,
            config=space.config(points(i)),
            outcome=Outcome.FINISHED,
            scores=(float(i),) * len(spec.objectives),
            order=i,
        )
        for i in range(N_WARM_UP)
    ]
    make_search(spec, space, 0).suggest(N_WARM_UP, tried, [])


def is_adaptive(spec: SweepSpec) -> bool:
    """Return whether results change what is tried next, so that a suggestion costs time and is better asked late."""
    return _strategy(spec) not in ("grid", "random", "qmc")


def _search(spec: SweepSpec, space: SearchSpace, seed: int, first: list[Config]) -> Search:
    strategy = _strategy(spec)
    if strategy == "grid":
        return GridSearch(space, shuffle_seed=seed if spec.options.grid_order == "shuffled" else None)
    if strategy == "random":
        return _draws(spec, space, uniform_points(space.n_axes, seed), seed, first)
    if strategy == "qmc":
        return _draws(spec, space, SobolPoints(space.n_axes, seed), seed, first)
    return _model_search(spec, space, seed, strategy)


def _strategy(spec: SweepSpec) -> str:
    """Return ``grid``, ``random``, ``qmc``, ``source`` (the user's own study), or the name of a model or sampler."""
    sampler = canonical(spec.options.sampler)
    if spec.method is Method.GRID:
        return "grid"
    if spec.method is Method.RANDOM:
        return "qmc" if sampler == "qmc" else "random"
    if spec.method is Method.CUSTOM and spec.scheduler is not None:
        return _engine(spec.scheduler, sampler)
    return sampler


def _is_replaced(spec: SweepSpec) -> bool:
    """Return whether a Gaussian process is asked for more objectives than it can take."""
    return _strategy(spec) == "gp" and len(spec.objectives) > MAX_GP_OBJECTIVES


def _engine(scheduler: Scheduler, sampler: str) -> str:
    """Return the strategy of W&B's ``scheduler`` key (wandb 0.31)."""
    if scheduler.engine == "wandb":
        return sampler
    if scheduler.engine == "optuna":
        # Optuna's own default is TPE; the user's functions, where they are named, decide otherwise.
        own = bool(scheduler.optimizer) or scheduler.search_space is not None
        return "source" if own else "tpe" if sampler == "gp" else sampler
    return "ax"


def _draws(spec: SweepSpec, space: SearchSpace, points: Points, seed: int, first: list[Config]) -> Search:
    keys = {space.key(config) for config in first}
    return DrawSearch(space, points, seed=seed, allow_repeats=spec.options.allow_repeats, first_keys=keys)


def _model_search(spec: SweepSpec, space: SearchSpace, seed: int, sampler: str) -> Search:
    # A grid or random sweep imports no models, and `gp` no Optuna.
    from orchestrator.search.bayes import ModelSearch, n_startup
    from orchestrator.search.encoding import Encoding
    from orchestrator.search.gaussian import GaussianProcess
    from orchestrator.search.imputing import Imputing, is_wanted
    from orchestrator.search.model import Proposer

    n_objectives = len(spec.objectives)
    proposer: Proposer
    if sampler == "gp" and not _is_replaced(spec):
        proposer = GaussianProcess(Encoding.of(space))
    else:
        name = "tpe" if sampler == "gp" else sampler
        proposer = StudySampler(Encoding.of(space), name, spec.options.sampler_options, n_objectives)
    search = ModelSearch(
        space,
        proposer,
        seed=seed,
        n_startup=n_startup(space),
        n_objectives=n_objectives,
        allow_repeats=spec.options.allow_repeats,
    )
    return Imputing(search, spec.objectives) if is_wanted(spec.objectives) else search
