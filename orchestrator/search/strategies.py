"""Which strategy a spec asks for, and whether it can be had: said before numpy or any model is imported."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import SearchSpaceError
from orchestrator.extras import lacking
from orchestrator.spec.model import Beta, Method, Nested, Parameter, Scheduler, SweepSpec
from orchestrator.spec.options import canonical

MAX_GP_OBJECTIVES = 3
"""The hypervolume of more objectives takes a Gaussian process too long; TPE has no such limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A sampler of Optuna that can be named in a spec.

    Attributes:
        defaults: Options that suit a sweep better than Optuna's own.
        replays: Whether the sampler keeps notes in its trials, so that the past has to be asked again, not just told.
        needs: Libraries that Optuna imports for it and does not install.
    """

    class_name: str
    defaults: Mapping[str, Any]
    replays: bool = False
    max_objectives: float = math.inf
    needs: tuple[str, ...] = ()


SAMPLERS: Mapping[str, Known] = {
    "tpe": Known(
        class_name="TPESampler", defaults={"multivariate": True, "constant_liar": True, "n_startup_trials": 2}
    ),
    "cmaes": Known(class_name="CmaEsSampler", defaults={}, replays=True, max_objectives=1, needs=("cmaes",)),
    "nsgaii": Known(class_name="NSGAIISampler", defaults={"population_size": 20}, replays=True),
    "nsgaiii": Known(class_name="NSGAIIISampler", defaults={"population_size": 20}, replays=True),
    "gpsampler": Known(class_name="GPSampler", defaults={"n_startup_trials": 2}, needs=("torch",)),
}
"""By the name in ``orchestrator.sampler``."""


def is_known_to_work(spec: SweepSpec) -> bool:
    """Return whether a search can only be refused for what `check` sees."""
    strategy = strategy_of(spec)
    is_plain = strategy == "random" or (strategy == "gp" and bool(spec.objectives))
    return is_plain and not spec.options.sampler_options and not _has_beta(spec.parameters)


def _has_beta(parameters: Mapping[str, Parameter]) -> bool:
    """Whether there is a distribution that may be too narrow to be computed."""
    return any(
        _has_beta(each.parameters) if isinstance(each, Nested) else isinstance(each, Beta)
        for each in parameters.values()
    )


def check(spec: SweepSpec) -> None:
    """Find out whether what a spec's strategy needs is there.

    Raises:
        SearchSpaceError: It is not; or it does not fit the spec.
    """
    if spec.options.sampler_options and strategy_of(spec) not in SAMPLERS:
        raise SearchSpaceError(
            f"orchestrator.sampler.options: {strategy_of(spec)} has none; those that have: {', '.join(SAMPLERS)}",
            where="orchestrator.sampler",
        )
    if is_adaptive(spec) and not spec.objectives:
        raise SearchSpaceError(
            f"method {spec.method.value}: without a metric there is nothing to learn from; add one", where="method"
        )
    _check_installed(spec)


def _check_installed(spec: SweepSpec) -> None:
    strategy, key = strategy_of(spec), "orchestrator.sampler" if spec.scheduler is None else "scheduler.engine"
    who, libraries = f"{key}: {strategy}", ("optuna", *SAMPLERS[strategy].needs) if strategy in SAMPLERS else ()
    if strategy == "source":
        who, libraries = f"{key}: optuna", ("optuna",)
    elif strategy == "ax":
        libraries = ("ax",)
    elif is_replaced(spec):
        who, libraries = f"{key}: with {len(spec.objectives)} metrics gp is Optuna's tpe, which", ("optuna",)
    for said in filter(None, map(lacking, libraries)):
        raise SearchSpaceError(f"{who} {said}", where=key)


def keeps_a_study(spec: SweepSpec) -> bool:
    """Return whether the user's own study or client decides what is tried, and how often."""
    return strategy_of(spec) in {"source", "ax"}


def is_adaptive(spec: SweepSpec) -> bool:
    """Return whether results change what is tried next, so that a suggestion costs time and is better asked late."""
    return strategy_of(spec) not in ("grid", "random", "qmc")


def strategy_of(spec: SweepSpec) -> str:
    """Return ``grid``, ``random``, ``qmc``, ``source`` (the user's own study), or the name of a model or sampler."""
    sampler = canonical(spec.options.sampler)
    if spec.method is Method.GRID:
        return "grid"
    if spec.method is Method.RANDOM:
        return "qmc" if sampler == "qmc" else "random"
    if spec.method is Method.CUSTOM and spec.scheduler is not None:
        return _engine(spec.scheduler, sampler)
    return sampler


def is_replaced(spec: SweepSpec) -> bool:
    """Return whether a Gaussian process is asked for more objectives than it can take."""
    return strategy_of(spec) == "gp" and len(spec.objectives) > MAX_GP_OBJECTIVES


def _engine(scheduler: Scheduler, sampler: str) -> str:
    """Return the strategy of W&B's ``scheduler`` key (wandb 0.31)."""
    if scheduler.engine == "wandb":
        return sampler
    if scheduler.engine == "optuna":
        # Optuna's own default is TPE; the user's functions, where they are named, decide otherwise.
        own = bool(scheduler.optimizer) or scheduler.search_space is not None
        return "source" if own else "tpe" if sampler == "gp" else sampler
    return "ax"
