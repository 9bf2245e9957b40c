"""Bayesian optimisation with the Gaussian process of Optuna, put together from its numeric parts.

Optuna's `GPSampler` knows evenly spaced grids and measures improvement from the best score seen. Here its kernel, fit
and acquisition functions serve any grid, noisy scores, and sweeps of a thousand trials and more. This module and
`ascent` are the only ones that touch Optuna's internals.

Notation: X [n, d] features, Y [n, k] warped scores, lower is better. The models see -Y, as Optuna maximises.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from orchestrator.search.ascent import N_LEADERS, Box, evaluate, maximise
from orchestrator.search.encoding import Encoding, FloatArray
from orchestrator.search.model import Evidence
from orchestrator.search.quiet import quiet
from orchestrator.search.scores import warp

N_FIT = 150
"""Kernel parameters are fitted to at most this many observations, since each step of the fit costs n^3."""

N_KNOWN = 400
"""The fitted model knows at most this many observations."""

N_FAILED = 100
"""The model of the scores knows the places of at most this many failures, the latest."""

N_LISTED = 4096
"""A space of at most this many points is searched by looking at each."""

N_SAMPLES = 128
"""Quasi-Monte Carlo samples of the hypervolume."""

MIN_NOISE = 1e-6
"""Smallest variance of the noise, of scores with unit variance."""

MIN_APART = 0.01
"""A proposal differs by this much, in some feature, from every trial in flight."""

MIN_NEW = 1e-6
"""A proposal differs by this much, in some feature, from every trial that has ended."""


class GaussianProcess:
    """Proposes what promises most log expected improvement (of the hypervolume, with several objectives).

    Where trials have failed the promise is weighted with the probability of success, which a second process learns from
    what failed and what did not (Gelbart et al. 2014, arXiv 1403.5607): failures repel and leave the scores alone.
    Pending trials and failures are believed to give what the model expects of them (kriging believer, Ginsbourger et
    al. 2010): there is nothing left to find out at the same place.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._box = Box(encoding)

    def propose(self, evidence: Evidence, seed: tuple[int, int]) -> Iterable[FloatArray]:
        """Return points, best first."""
        rng = np.random.RandomState(np.random.SeedSequence(seed).generate_state(4))
        with one_thread(), quiet():
            x, y = _training(evidence, rng)
            models = [_fit(x, -column, self._box.is_categorical) for column in y.T]
            for model in models:
                _believe(model, np.vstack([evidence.failed[-N_FAILED:], evidence.pending]))
            acquisition = self._acquisition(models, y, rng)
            if len(evidence.failed):
                acquisition = Feasible(acquisition, self._success(evidence, rng))
            points = _apart(self._points(acquisition, x, y, rng), x, MIN_NEW)
            return list(_apart(points, evidence.pending, MIN_APART))

    def _points(self, acquisition: Any, x: FloatArray, y: FloatArray, rng: np.random.RandomState) -> FloatArray:
        """Return points where the acquisition is large, best first."""
        if self._box.n_points is not None and self._box.n_points <= N_LISTED:
            points = self._box.every_point()
            return points[np.argsort(-evaluate(acquisition, points), kind="stable")]
        leaders = np.unique(x[np.argsort(y.min(axis=1), kind="stable")[:N_LEADERS]], axis=0)
        return maximise(acquisition, self._box, leaders, rng)

    def _success(self, evidence: Evidence, rng: np.random.RandomState) -> Any:
        """Return a model that is positive where trials succeed, negative where they fail."""
        x = np.vstack([evidence.x, evidence.failed])
        labels = np.repeat([1.0, -1.0], [len(evidence.x), len(evidence.failed)])
        order = rng.permutation(len(x))[:N_KNOWN]
        model = _fit(x[order], labels[order], self._box.is_categorical)
        _believe(model, evidence.pending)
        return model

    def _acquisition(self, models: Sequence[Any], y: FloatArray, rng: np.random.RandomState) -> Any:
        import torch
        from optuna._gp import acqf

        if len(models) == 1:
            # With noise the best score seen is luck: what the model believes of the points seen is the mark to beat.
            return acqf.LogEI(models[0], self._box, threshold=_best_belief(models[0]))
        return acqf.LogEHVI(
            list(models), self._box, torch.from_numpy(-y), n_qmc_samples=N_SAMPLES, qmc_seed=rng.randint(2**30)
        )


class Feasible:
    """An acquisition function weighted with the probability that `success`, a model, is positive."""

    def __init__(self, promise: Any, success: Any) -> None:
        from optuna._gp import acqf

        self._promise = promise
        self._success = acqf.LogPI(success, promise.search_space, threshold=0.0)
        self.length_scales = promise.length_scales

    def eval_acqf(self, x: Any) -> Any:
        """Return the logarithm at the torch tensor `x`, [n, d] -> [n]."""
        return self._promise.eval_acqf(x) + self._success.eval_acqf(x)

    def eval_acqf_no_grad(self, x: FloatArray) -> FloatArray:
        """Return the logarithm at `x`, [n, d] -> [n]."""
        return np.asarray(self._promise.eval_acqf_no_grad(x) + self._success.eval_acqf_no_grad(x), dtype=np.float64)


def log_prior(model: Any) -> Any:
    """Return the log prior density of kernel parameters, up to a constant, as a torch scalar.

    Length scales grow with the square root of the dimension (Hvarfner et al. 2024, arXiv 2402.02229); scale and noise
    have Optuna's gamma priors.
    """
    inverse = model.inverse_squared_lengthscales
    log_length = -0.5 * inverse.log()
    centre = math.sqrt(2) + 0.5 * math.log(len(inverse))
    lengths = -((log_length - centre) ** 2) / 6 - log_length
    scale, noise = model.kernel_scale, model.noise_var
    return lengths.sum() + scale.log() - scale + 0.1 * noise.log() - 30 * noise


def _training(evidence: Evidence, rng: np.random.RandomState) -> tuple[FloatArray, FloatArray]:
    """Return X [n, d] and Y [n, k] to learn from, the most telling first, at most `N_KNOWN`.

    When there are more observations than can be known, the best alternate with random ones: a model of the optimum's
    surroundings needs the contrast.
    """
    x = evidence.x
    y = np.column_stack([warp(column) for column in evidence.scores.T])
    if len(x) <= N_FIT:
        return x, y
    by_score = np.argsort(y.min(axis=1), kind="stable")
    alternating = np.column_stack([by_score, rng.permutation(len(x))]).ravel()
    order = np.array(list(dict.fromkeys(alternating.tolist()))[:N_KNOWN])
    return x[order], y[order]


def _fit(x: FloatArray, y: FloatArray, is_categorical: FloatArray) -> Any:
    """Return a model whose kernel is fitted to the first part of the data, and which knows all of it."""
    import torch
    from optuna._gp import gp

    model = gp.fit_kernel_params(
        x[:N_FIT],
        y[:N_FIT],
        is_categorical,
        log_prior=log_prior,
        minimum_noise=MIN_NOISE,
        deterministic_objective=False,
    )
    if len(x) > N_FIT:
        kernel = (model.inverse_squared_lengthscales, model.kernel_scale, model.noise_var)
        model = gp.GPRegressor(torch.from_numpy(is_categorical), torch.from_numpy(x), torch.from_numpy(y), *kernel)
        model._cache_matrix()  # noqa: SLF001 - Optuna has no public way to give a fitted kernel more data
    return model


def _believe(model: Any, pending: FloatArray) -> None:
    import torch

    if len(pending):
        points = torch.from_numpy(pending)
        model.append_running_data(points, model.posterior(points)[0])


def _apart(points: FloatArray, others: FloatArray, distance: float) -> FloatArray:
    """Return the points with those last that are closer than `distance` to one of the others in every feature."""
    if not len(others):
        return points
    gaps = np.array([np.abs(others - point).max(axis=1).min() for point in points])
    return points[np.argsort(gaps < distance, kind="stable")]


def _best_belief(model: Any) -> float:
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
    try:
        with torch.device("cpu"):
            yield
    finally:
        torch.set_num_threads(n_threads)
