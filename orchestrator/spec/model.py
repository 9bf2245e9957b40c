"""What a sweep spec means once it has been read: immutable values that cannot be wrong.

`reader.py` builds these from YAML or a dict and is the only place that checks user input; everything below may rely
on the invariants stated here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias

Json: TypeAlias = Any
"""A value as YAML 1.1 gives it and JSON can carry it."""


Impute: TypeAlias = Literal["worst", "best", "latest"]
ImputeRunning: TypeAlias = Literal["false", "worst", "best", "latest"]
Rule: TypeAlias = Literal["hyperband", "asha", "median"]
Engine: TypeAlias = Literal["wandb", "optuna", "ax"]
ObjectiveValue: TypeAlias = Literal["best", "last"]
GridOrder: TypeAlias = Literal["wandb", "shuffled"]
StopWhen: TypeAlias = Literal["nan", "diverging"]
WandbMode: TypeAlias = Literal["auto", "online", "offline", "off"]
Switch: TypeAlias = Literal["on", "off"]


class Method(StrEnum):
    """How the next config is chosen."""

    GRID = "grid"
    RANDOM = "random"
    BAYES = "bayes"
    CUSTOM = "custom"


class Goal(StrEnum):
    """Direction of a metric."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"

    @property
    def sign(self) -> float:
        """What a value is multiplied with to become a score, and a score to become a value: lower scores are better."""
        return -1.0 if self is Goal.MAXIMIZE else 1.0


class Kind(StrEnum):
    """The 18 distributions of W&B's sweep schema, by their names there."""

    CONSTANT = "constant"
    CATEGORICAL = "categorical"
    CATEGORICAL_W_PROBABILITIES = "categorical_w_probabilities"
    INT_UNIFORM = "int_uniform"
    UNIFORM = "uniform"
    Q_UNIFORM = "q_uniform"
    LOG_UNIFORM = "log_uniform"
    LOG_UNIFORM_VALUES = "log_uniform_values"
    Q_LOG_UNIFORM = "q_log_uniform"
    Q_LOG_UNIFORM_VALUES = "q_log_uniform_values"
    INV_LOG_UNIFORM = "inv_log_uniform"
    INV_LOG_UNIFORM_VALUES = "inv_log_uniform_values"
    NORMAL = "normal"
    Q_NORMAL = "q_normal"
    LOG_NORMAL = "log_normal"
    Q_LOG_NORMAL = "q_log_normal"
    BETA = "beta"
    Q_BETA = "q_beta"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """``value: X``; X may be anything, null included."""

    value: Json
    kind: Kind = Kind.CONSTANT


@dataclass(frozen=True, slots=True, kw_only=True)
class Categorical:
    """``values: [...]``, at least one, with ``probabilities`` of the same length that sum to 1, or None."""

    values: tuple[Json, ...]
    probabilities: tuple[float, ...] | None = None

    @property
    def kind(self) -> Kind:
        """The distribution's name."""
        return Kind.CATEGORICAL if self.probabilities is None else Kind.CATEGORICAL_W_PROBABILITIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A bounded range, ``min < max``; for ``*log_uniform`` without ``_values`` the bounds are natural-log exponents.

    ``int_uniform`` has int bounds; the ``*_log_uniform_values`` kinds have ``min > 0``; ``q > 0`` for the ``q_`` kinds
    and None for the others (an int q makes the sampled values ints).
    """

    kind: Kind
    min: int | float
    max: int | float
    q: int | float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaussian:
    """``normal``, ``log_normal`` and their quantised forms; ``sigma > 0``."""

    kind: Kind
    mu: float = 0.0
    sigma: float = 1.0
    q: int | float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beta:
    """``beta`` and ``q_beta``; ``a > 0`` and ``b > 0``."""

    kind: Kind
    a: float = 1.0
    b: float = 1.0
    q: int | float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nested:
    """``parameters: {...}`` inside a parameter, to any depth; never empty."""

    parameters: Mapping[str, "Parameter"]


Leaf: TypeAlias = Constant | Categorical | Interval | Gaussian | Beta
Parameter: TypeAlias = Leaf | Nested


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """The sweep's objective. `target` is the value at which the sweep may end.

    `impute` is None where the spec leaves it out: then failures repel, and leave the scores alone.
    """

    name: str
    goal: Goal = Goal.MINIMIZE
    target: float | None = None
    impute: Impute | None = None
    impute_while_running: ImputeRunning = "false"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """``no_improvement: {after: n, min_delta: x}``: wraps a stopping rule so that it acts only on stalled trials."""

    after: int
    min_delta: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyTerminate:
    """``early_terminate``: W&B's ``hyperband``, or ours: ``asha``, ``median``.

    ``hyperband`` and ``asha`` have `min_iter`, or `max_iter` with `s`. `percentile` is for ``median`` (50 = median),
    `max_t` for ``asha``: a trial that has reported so often has finished.
    """

    type: Rule
    min_iter: int | None = None
    max_iter: int | None = None
    s: int | None = None
    eta: float = 3.0
    strict: bool = True
    percentile: float = 50.0
    min_trials: int = 3
    no_improvement: Patience | None = None
    max_t: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduler:
    """``scheduler`` of wandb 0.31: which engine chooses configs for ``method: custom``."""

    engine: Engine
    source: str | None = None
    optimizer: str | None = None
    search_space: str | None = None

    @property
    def is_users_own(self) -> bool:
        """Whether the user's own study or client chooses, or Ax, which is one by default."""
        return self.engine == "ax" or (self.engine == "optuna" and bool(self.optimizer or self.search_space))


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one trial occupies; None means the default of the cluster (1 GPU where there are GPUs, else 1 CPU)."""

    gpu: float | None = None
    cpu: float | None = None
    memory_bytes: int | None = None
    custom: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """``budget: {gpu_hours: 40, cost: 100, price: 2.5}``: when no trial is started any more; `cost` comes with a `price`.

    Attributes:
        gpu_hours: GPU hours of all trials.
        cost: The same in money.
        price: Of one GPU hour.
    """

    gpu_hours: float | None = None
    cost: float | None = None
    price: float | None = None

    @property
    def hours(self) -> float | None:
        """GPU hours that it comes to; None for no end."""
        affordable = self.cost / self.price if self.cost is not None and self.price else None
        limits = [hours for hours in (self.gpu_hours, affordable) if hours is not None]
        return min(limits) if limits else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Who is told what becomes of a sweep; with neither, it is the terminal's bell.

    Attributes:
        command: What is run, with the message on its standard input; empty for none.
        url: Where apprise's URL is to be found, for it holds a secret: ``${NAME}`` or ``@FILE``; None for none.
    """

    command: tuple[str, ...] = ()
    url: str | None = None

    @property
    def shown(self) -> str:
        """It for people."""
        return self.url or (self.command[0] if self.command else "bell")


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonBy:
    """``python: {by: framework, torch: .venv-torch}``: the Python of a trial follows from a parameter's value.

    Attributes:
        parameter: The parameter, by its dotted name.
        paths: An interpreter or an environment's folder for each value, by the value as text (`python_key`).
    """

    parameter: str
    paths: Mapping[str, str]


def python_key(value: Json) -> str:
    """Return how `PythonBy.paths` names a parameter's value: as YAML writes it."""
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The ``orchestrator:`` block. Every field has the default that an absent key means."""

    resources: Resources = Resources()
    concurrency: int | None = None
    seed: int | None = None
    retries: int = 0
    objective: ObjectiveValue = "best"
    timeout_trial_s: float | None = None
    timeout_sweep_s: float | None = None
    budget: Budget = Budget()
    grace_s: float = 30.0
    sampler: str = "gp"
    sampler_options: Mapping[str, Json] = field(default_factory=dict)
    grid_order: GridOrder = "wandb"
    first: tuple[Mapping[str, Json], ...] = ()
    allow_repeats: bool = False
    stop_when: tuple[StopWhen, ...] = ("nan",)
    stop: Mapping[str, float] = field(default_factory=dict)
    preload: tuple[str, ...] | None = None
    python: str | PythonBy | None = None
    notify: tuple[Recipient, ...] = ()
    storage: str | None = None
    wandb: WandbMode = "auto"
    gradients: Switch = "on"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec:
    """One sweep, as its author meant it.

    Invariants: `parameters` is non-empty unless `scheduler` brings its own search space; `method` bayes has a metric
    and at least one parameter that varies; grid has only parameters that can be enumerated; `early_terminate` has a
    metric; `metrics` is empty or has at least two entries.
    """

    method: Method
    parameters: Mapping[str, Parameter]
    program: str | None = None
    command: tuple[str, ...] | None = None
    metric: Metric | None = None
    metrics: tuple[Metric, ...] = ()
    early_terminate: EarlyTerminate | None = None
    run_cap: int | None = None
    name: str | None = None
    description: str | None = None
    project: str | None = None
    entity: str | None = None
    controller: Mapping[str, Json] | None = None
    scheduler: Scheduler | None = None
    job: str | None = None
    image_uri: str | None = None
    options: Options = Options()

    @property
    def limits(self) -> Mapping[str, float]:
        """Values at which a trial has finished, as Ray Tune's `stop` has it: ``orchestrator.stop`` and asha's ``max_t``."""
        limits = dict(self.options.stop)
        most = self.early_terminate.max_t if self.early_terminate else None
        if most is not None:
            limits["training_iteration"] = min(most, limits.get("training_iteration", most))
        return limits

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """The metrics that are optimised: `metrics`, else `metric` alone, else none."""
        if self.metrics:
            return self.metrics
        return (self.metric,) if self.metric else ()

    def wandb_project(self, environ: Mapping[str, str]) -> str:
        """Return the W&B project of its runs: its own, else WANDB_PROJECT, else W&B's name for runs without one."""
        return self.project or environ.get("WANDB_PROJECT") or "uncategorized"

    def wandb_entity(self, environ: Mapping[str, str]) -> str | None:
        """Return whose that is: its own, else WANDB_ENTITY; None is the user's default."""
        return self.entity or environ.get("WANDB_ENTITY") or None
