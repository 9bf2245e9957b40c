"""From a spec to its search: the one module that names every concrete strategy."""

from contextlib import suppress
from dataclasses import replace

from orchestrator.search.draws import DrawSearch, Points, SobolPoints, uniform_points
from orchestrator.search.first import FirstThen, completed
from orchestrator.search.grid import GridSearch
from orchestrator.search.optuna_samplers import StudySampler
from orchestrator.search.protocol import Config, Observation, Outcome, Search, Sweep
from orchestrator.search.strategies import check, is_adaptive, is_replaced, keeps_a_study, strategy_of
from orchestrator.space import SearchSpace
from orchestrator.spec.model import SweepSpec

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
    check(spec)
    if strategy_of(spec) == "source":
        from orchestrator.search.source import SourceSearch

        return SourceSearch(spec, space, seed, sweep or Sweep())
    if strategy_of(spec) == "ax":
        from orchestrator.search.ax_client import AxSearch

        return AxSearch(spec, seed, sweep or Sweep())
    first = completed(spec.options.first, space, seed)
    then = _search(spec, space, seed, first)
    return FirstThen(first, then) if first else then


def check_search(spec: SweepSpec, sweep: Sweep | None = None) -> None:
    """Find out whether a spec's search can be made, and leave nothing behind.

    Raises:
        SearchSpaceError: As `make_search`.
    """
    make_search(spec, SearchSpace.of(spec.parameters), 0, replace(sweep or Sweep(), rehearsal=True))


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


def _search(spec: SweepSpec, space: SearchSpace, seed: int, first: list[Config]) -> Search:
    strategy = strategy_of(spec)
    if strategy == "grid":
        return GridSearch(space, shuffle_seed=seed if spec.options.grid_order == "shuffled" else None)
    if strategy == "random":
        return _draws(spec, space, uniform_points(space.n_axes, seed), seed, first)
    if strategy == "qmc":
        return _draws(spec, space, SobolPoints(space.n_axes, seed), seed, first)
    return _model_search(spec, space, seed, strategy)


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
    if sampler == "gp" and not is_replaced(spec):
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
