"""Optuna's samplers by name, each asked through a study that is made anew from what is known."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.errors import SearchSpaceError
from orchestrator.search.encoding import Encoding, Feature, FloatArray
from orchestrator.search.model import Evidence
from orchestrator.search.quiet import quiet
from orchestrator.search.scores import warp
from orchestrator.search.strategies import SAMPLERS

if TYPE_CHECKING:
    import optuna

N_ASKS = 16
"""Proposals a sampler gives before the caller looks for a config elsewhere."""


class StudySampler:
    """Proposes what a sampler of Optuna proposes after the same trials.

    Numbers go to Optuna as floats in [0, 1] or as positions in their grid, so that every sampler can handle all of
    W&B's distributions. Failures are told with the worst scores seen. Each proposal costs what the first does.
    """

    max_batch = 1

    def __init__(self, encoding: Encoding, name: str, options: Mapping[str, Any], n_objectives: int) -> None:
        self._known = SAMPLERS[name]
        self._name = name
        if n_objectives > self._known.max_objectives:
            raise SearchSpaceError(
                f"orchestrator.sampler {name} optimises one metric, the sweep has {n_objectives}; use gp, tpe or nsgaii",
                where="orchestrator.sampler",
            )
        self._options = {**self._known.defaults, **options}
        self._features = encoding.features
        self._n_objectives = n_objectives
        self._distributions = {str(i): _distribution(feature) for i, feature in enumerate(self._features)}
        self._sampler()  # options that Optuna refuses are refused now

    def propose(self, evidence: Evidence, seed: tuple[int, int], n: int = 1) -> Iterable[FloatArray]:  # noqa: ARG002
        """Yield proposals, each of a study with its own random numbers."""
        trials = self._trials(evidence)
        for ask in range(N_ASKS):
            with quiet():
                study = self._study(trials, evidence, seed[0])
                reseed(study.sampler, (*seed, ask))
                params = study.ask(self._distributions).params
            yield np.array([_feature(f, params[str(i)]) for i, f in enumerate(self._features)])

    def _study(self, trials: "list[optuna.trial.FrozenTrial]", evidence: Evidence, seed: int) -> "optuna.Study":
        import optuna

        study = optuna.create_study(sampler=self._sampler(), directions=["minimize"] * self._n_objectives)
        if self._known.replays:
            replay(study, self._distributions, trials, seed)
            return study
        study.add_trials(trials)
        study.add_trials([self._running(x) for x in evidence.pending])
        return study

    def _sampler(self) -> "optuna.samplers.BaseSampler":
        import warnings

        import optuna

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            try:
                return getattr(optuna.samplers, self._known.class_name)(**self._options, seed=0)
            except (TypeError, ValueError) as error:
                raise SearchSpaceError(
                    f"orchestrator.sampler {self._name}: {error}", where="orchestrator.sampler"
                ) from error

    def _trials(self, evidence: Evidence) -> "list[optuna.trial.FrozenTrial]":
        from optuna.trial import create_trial

        y = np.column_stack([warp(column) for column in evidence.scores.T])
        worst = np.repeat(y.max(axis=0, keepdims=True), len(evidence.failed), axis=0)
        rows = zip(np.vstack([evidence.x, evidence.failed]), np.vstack([y, worst]), strict=True)
        return [
            create_trial(params=self._params(x), distributions=self._distributions, values=scores.tolist())
            for x, scores in rows
        ]

    def _running(self, x: FloatArray) -> "optuna.trial.FrozenTrial":
        from optuna.trial import TrialState, create_trial

        return create_trial(params=self._params(x), distributions=self._distributions, state=TrialState.RUNNING)

    def _params(self, x: FloatArray) -> dict[str, Any]:
        return {str(i): _param(feature, float(u)) for i, (feature, u) in enumerate(zip(self._features, x, strict=True))}


def replay(
    study: "optuna.Study",
    distributions: "Mapping[str, optuna.distributions.BaseDistribution]",
    trials: "Iterable[optuna.trial.FrozenTrial]",
    seed: int,
) -> None:
    """Ask a study for each trial, with the params it had, and tell its scores: samplers that keep notes write them."""
    for step, trial in enumerate(trials):
        reseed(study.sampler, (seed, step))
        study.enqueue_trial(trial.params)
        study.tell(study.ask(dict(distributions)), trial.values)


def reseed(sampler: "optuna.samplers.BaseSampler", seed: tuple[int, ...]) -> None:
    """Set every random state of a sampler, and of the samplers inside it: Optuna itself only reseeds at random."""
    from optuna.samplers import BaseSampler
    from optuna.samplers._lazy_random_state import LazyRandomState

    state = np.random.SeedSequence(seed).generate_state(4)
    for part in vars(sampler).values():
        if isinstance(part, LazyRandomState):
            part.rng.seed(state)
        elif isinstance(part, BaseSampler):
            reseed(part, (*seed, 1))


def _distribution(feature: Feature) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if feature.grid is None:
        return FloatDistribution(0.0, 1.0)
    if feature.is_category:
        return CategoricalDistribution(range(len(feature.grid)))
    return IntDistribution(0, len(feature.grid) - 1)


def _param(feature: Feature, u: float) -> float | int:
    return u if feature.grid is None else int(np.argmin(np.abs(feature.grid - u)))


def _feature(feature: Feature, param: float) -> float:
    return float(param) if feature.grid is None else float(feature.grid[int(param)])
