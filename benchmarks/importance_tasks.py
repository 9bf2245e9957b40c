"""Functions whose importances are known: what each parameter explains of their variance over the space they declare."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from search_tasks import MIXED, branin, floats, hartmann, mixed

from orchestrator.space import SearchSpace
from orchestrator.spec.model import Categorical, Gaussian, Interval, Kind

N_TRUTH = 4096
"""Points that the truth is computed from, and as many again per parameter."""

N_RUNS = 16
"""Times that this is done, of which the mean counts."""

FENCE = 3.0
"""Quartile ranges beyond the quartiles at which losses are cut off: as what is reported is defined."""


@dataclass(frozen=True)
class Planted:
    """A function of a config, with noise on what a trial sees of it."""

    name: str
    parameters: dict
    loss: Callable[[dict], float]
    noise: float = 0.0
    slow: Callable[[dict], float] = field(default=lambda _: 0.3)
    """Share of the budget in which the way to the loss shrinks by a factor e, for early termination."""

    @property
    def space(self) -> SearchSpace:
        return SearchSpace.of({name: parameter(**given) for name, given in self.parameters.items()})


def parameter(*, values=None, min=None, max=None, distribution=None, mu=None, sigma=None):  # noqa: A002 - W&B's names
    if values is not None:
        return Categorical(values=tuple(values))
    if mu is not None:
        return Gaussian(kind=Kind(distribution), mu=mu, sigma=sigma)
    whole = isinstance(min, int) and isinstance(max, int)
    kind = Kind(distribution) if distribution else Kind.INT_UNIFORM if whole else Kind.UNIFORM
    return Interval(kind=kind, min=min, max=max)


LOG_RATE = {"distribution": "log_uniform_values", "min": 1e-5, "max": 1.0}
LISTED = {
    "act": {"values": ["relu", "gelu", "tanh", "silu"]},
    "batch": {"values": [16, 32, 64, 128, 256]},
    "norm": {"values": ["batch", "layer", "none"]},
    "warm": {"values": [True, False]},
}


def issue(c):
    return 0.05 * (math.log10(c["lr"]) + 2) ** 2 + (2 if c["opt"] == "sgd" else 0) + 0.01 * c["junk"]


def unit(n):
    return floats(**{f"x{i}": (0, 1) for i in range(n)})


def slopes(c):
    return 3.0 * c["x0"] + 1.7 * c["x1"] + 1.0 * c["x2"]


def ishigami(c):
    x, y, z = (math.pi * (2 * c[f"x{i}"] - 1) for i in range(3))
    return math.sin(x) + 7 * math.sin(y) ** 2 + 0.1 * z**4 * math.sin(x)


def g_function(c):
    return math.prod((abs(4 * c[f"x{i}"] - 2) + a) / (1 + a) for i, a in enumerate((0, 1, 4.5, 9, 99, 99)))


def product(c):
    return (c["x0"] - 0.5) * (c["x1"] - 0.5) + 0.1 * c["x2"] ** 2


def diverging(c):
    """Most of the range is a bowl; a rate beyond 0.1 explodes, the more the larger it is."""
    rate = math.log10(c["lr"])
    return 0.3 + 0.1 * (rate + 3) ** 2 + 0.4 * c["dropout"] + (10 ** (6 * (rate + 1)) if rate > -1 else 0)


def many(c):
    return 2.0 * c["x0"] + 4 * (c["x1"] - 0.4) ** 2 + 0.6 * c["x2"]


def narrow(c):
    return 1 - math.exp(-((c["x0"] - 0.62) ** 2) / (2 * 0.07**2)) + 0.3 * c["x1"]


def listed(c):
    act = {"relu": 0.3, "gelu": 0.0, "tanh": 0.9, "silu": 0.1}[c["act"]]
    norm = {"batch": 0.0, "layer": 0.1, "none": 0.5}[c["norm"]]
    return act + 0.15 * (math.log2(c["batch"]) - 5) ** 2 * (c["norm"] == "none") + norm + 0.02 * c["warm"]


def accuracy(c):
    """An error, so that the accuracy is 1 - it: saturated over much of the space."""
    off = (math.log10(c["lr"]) + 2.5) / 1.2
    width = 0.15 * (math.log2(c["width"]) - 8) ** 2 / 9
    return 0.9 / (1 + math.exp(-(off**2 - 2.5))) + 0.05 * c["decay"] ** 2 / 4 + width


def step(c):
    return (c["x0"] > 0.35) * 1.0 + 0.5 * (c["x1"] > 0.7) + 0.2 * c["x2"]


def conditional(c):
    """Each optimiser has a rate of its own that it likes."""
    best = {"sgd": -1.0, "adam": -3.5}[c["opt"]]
    return 0.1 * (math.log10(c["lr"]) - best) ** 2 + 0.2 * c["dropout"]


TASKS = {
    planted.name: planted
    for planted in (
        Planted("issue", {"lr": LOG_RATE, "opt": {"values": ["sgd", "adam"]}, "junk": {"min": 0.0, "max": 1.0}}, issue),
        Planted("slopes", unit(5), slopes),
        Planted("noisy", unit(4), slopes, noise=1.0),
        Planted("mixed", MIXED, mixed, noise=0.05),
        Planted("branin", floats(x=(-5, 10), y=(0, 15)) | {"junk": {"min": 0.0, "max": 1.0}}, branin, noise=1.0),
        Planted("hartmann6", unit(6), hartmann),
        Planted("ishigami", unit(4), ishigami),
        Planted("g-function", unit(6), g_function),
        Planted("product", unit(4), product, noise=0.01),
        Planted("diverging", {"lr": LOG_RATE, **floats(dropout=(0, 1), junk=(0, 1))}, diverging, noise=0.02),
        Planted("many", unit(12), many, noise=0.1),
        Planted("narrow", unit(3), narrow),
        Planted("listed", LISTED, listed, noise=0.05),
        Planted(
            "accuracy",
            {
                "lr": LOG_RATE,
                "width": {"values": [32, 64, 128, 256, 512, 1024, 2048]},
                "decay": {"distribution": "normal", "mu": 0.0, "sigma": 1.0},
                "layers": {"min": 1, "max": 6},
            },
            accuracy,
            noise=0.02,
        ),
        Planted("step", unit(4), step, noise=0.05),
        Planted(
            "conditional",
            {"lr": LOG_RATE, "opt": {"values": ["sgd", "adam"]}, **floats(dropout=(0, 1), junk=(0, 1))},
            conditional,
            noise=0.03,
        ),
        Planted("chance", unit(4), lambda _: 0.0, noise=1.0),
    )
}


def truth(task: Planted, n: int = N_TRUTH) -> dict[str, float]:
    """Return each parameter's share of the variance, interactions included: Jansen's estimator by brute force.

    A parameter's total share is the variance that is left when all others are known. Losses far out are cut off.
    """
    space, totals, variance = task.space, np.zeros(len(task.parameters)), 0.0
    for seed in range(N_RUNS):
        rng = np.random.default_rng(seed)
        a, b = rng.random((2, n, space.n_axes))
        loss = np.array([task.loss(config) for config in space.configs(a)])
        low, high = fences(loss)
        cut = np.clip(loss, low, high)
        variance += cut.var()
        for i in range(space.n_axes):
            mixed_points = a.copy()
            mixed_points[:, i] = b[:, i]
            other = np.clip([task.loss(config) for config in space.configs(mixed_points)], low, high)
            totals[i] += ((cut - other) ** 2).mean() / 2
    names = [axis.name for axis in space.axes]
    return dict(zip(names, (totals / variance).tolist() if variance else [0.0] * len(names), strict=True))


def fences(loss: np.ndarray) -> tuple[float, float]:
    """Return between which losses none is cut off; of a loss that is the same in half of the space, all."""
    low, high = np.quantile(loss, [0.25, 0.75])
    if low == high:
        return -math.inf, math.inf
    return low - FENCE * (high - low), high + FENCE * (high - low)
