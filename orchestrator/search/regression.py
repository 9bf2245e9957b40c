"""Gaussian processes fitted to what is known, with the kernel and the fit of Optuna.

Fitting takes most of a suggestion's time and its result changes slowly: kernel parameters are those of the first m
observations, where m follows n in steps, and every observation up to n is then known to the model. So a kernel serves
several suggestions, and still depends on nothing but the observations in their order.

Notation: X [n, d] features, y [n] warped scores, lower is better. Models see -y, as Optuna maximises.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from orchestrator.search.ascent import BoolArray
from orchestrator.search.encoding import FloatArray
from orchestrator.search.scores import warp

N_FIT = 150
"""Kernel parameters are fitted to at most this many observations, since each step of the fit costs n^3."""

N_KNOWN = 400
"""The fitted model knows at most this many observations."""

MIN_NOISE = 1e-6
"""Smallest variance of the noise, of scores with unit variance."""

CENTRE_LOG_NOISE = -5.0
SPREAD_UP = 1.0
SPREAD_DOWN = 2.5
"""Where the logarithm of the noise variance is expected, and its standard deviations above and below."""

Kernel: TypeAlias = tuple[Any, Any, Any]
"""Inverse squared length scales [d], scale and noise variance, as torch tensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What a model is fitted to: features `x` [n, d] and warped scores `y` [n], in order of completion."""

    x: FloatArray
    y: FloatArray

    @classmethod
    def most_telling(cls, x: FloatArray, scores: FloatArray, n: int, seed: int) -> "Data":
        """Return at most `n` observations, their scores warped.

        When there are more, the best alternate with random ones: a model of the optimum's surroundings needs the contrast.
        """
        y = warp(scores)
        if len(x) <= n:
            return cls(x=x, y=y)
        by_score = np.argsort(y, kind="stable")
        alternating = np.column_stack([by_score, np.random.default_rng([seed, len(x)]).permutation(len(x))]).ravel()
        order = np.array(list(dict.fromkeys(alternating.tolist()))[:n])
        return cls(x=x[order], y=y[order])


class Regression:
    """Fits models of one objective, and keeps the last kernel for as long as it is the one to use."""

    def __init__(self, is_categorical: BoolArray, seed: int) -> None:
        self._is_categorical = is_categorical
        self._seed = seed
        self._fitted_to: tuple[bytes, bytes] | None = None
        self._kernel: Kernel | None = None

    def model(self, x: FloatArray, scores: FloatArray) -> Any:
        """Return a model of `scores` [n] at `x` [n, d], both in order of completion."""
        kernel = self._kernel_for(x[: n_fitted(len(x))], scores[: n_fitted(len(x))])
        known = Data.most_telling(x, scores, N_KNOWN, self._seed)
        return conditioned(known.x, -known.y, self._is_categorical, kernel)

    def _kernel_for(self, x: FloatArray, scores: FloatArray) -> Kernel:
        key = x.tobytes(), scores.tobytes()
        if self._kernel is None or key != self._fitted_to:
            data = Data.most_telling(x, scores, N_FIT, self._seed)
            self._kernel, self._fitted_to = fit(data.x, -data.y, self._is_categorical), key
        return self._kernel


def n_fitted(n: int) -> int:
    """Return how many of `n` observations the kernel is fitted to: all of them below 32, at least 94 % beyond."""
    step = 1 << max(0, n.bit_length() - 5)
    return n - n % step


def fit(x: FloatArray, y: FloatArray, is_categorical: BoolArray) -> Kernel:
    """Return the kernel that explains `y` [n], higher is better, at `x` [n, d] best."""
    from optuna._gp import gp

    model = gp.fit_kernel_params(
        x, y, is_categorical, log_prior=log_prior, minimum_noise=MIN_NOISE, deterministic_objective=False
    )
    return model.inverse_squared_lengthscales, model.kernel_scale, model.noise_var


def conditioned(x: FloatArray, y: FloatArray, is_categorical: BoolArray, kernel: Kernel) -> Any:
    """Return the model with a kernel that knows `y` [n], higher is better, at `x` [n, d]."""
    import torch
    from optuna._gp import gp

    model = gp.GPRegressor(torch.from_numpy(is_categorical), torch.from_numpy(x), torch.from_numpy(y), *kernel)
    model._cache_matrix()  # noqa: SLF001 - Optuna has no public way to give a fitted kernel more data
    return model


def log_prior(model: Any) -> Any:
    """Return the log prior density of kernel parameters, up to a constant, as a torch scalar.

    Length scales grow with the square root of the dimension (Hvarfner et al. 2024, arXiv 2402.02229); the scale has
    Optuna's gamma prior. The logarithm of the noise is centred at -5 and reaches further down than up: without the lower
    tail a few observations of a noisy objective are believed to be exact, and exact ones need only a dozen to say so.
    """
    inverse = model.inverse_squared_lengthscales
    log_length = -0.5 * inverse.log()
    centre = math.sqrt(2) + 0.5 * math.log(len(inverse))
    lengths = -((log_length - centre) ** 2) / 6 - log_length
    scale, noise = model.kernel_scale, model.noise_var
    off = noise.log() - CENTRE_LOG_NOISE
    spread = off.clamp(min=0) / SPREAD_UP + off.clamp(max=0) / SPREAD_DOWN
    return lengths.sum() + scale.log() - scale - spread**2 / 2


def believe(model: Any, pending: FloatArray) -> None:
    """Add the points `pending` [p, d] to a model, each with the value that it expects there."""
    import torch

    if len(pending):
        points = torch.from_numpy(pending)
        model.append_running_data(points, model.posterior(points)[0])


def best_belief(model: Any) -> float:
    """Return the largest mean at the points that the model knows, pending ones included."""
    import torch

    with torch.no_grad():
        return float(model.posterior(model._X_all)[0].max())  # noqa: SLF001 - it has no public list of its points


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one CPU thread: the matrices are small, and the CPU belongs to the trials."""
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    # To set the device costs each operation a tenth of its time: only where a notebook's default is another one.
    is_cpu = torch.get_default_device().type == "cpu"
    try:
        with nullcontext() if is_cpu else torch.device("cpu"):
            yield
    finally:
        torch.set_num_threads(n_threads)
