"""Bayesian optimisation with the Gaussian process of Optuna, put together from its numeric parts.

Optuna's `GPSampler` knows evenly spaced grids and measures improvement from the best score seen. Here its kernel, fit
and acquisition functions serve any grid, noisy scores, and sweeps of a thousand trials and more. This module,
`regression` and `ascent` are the only ones that touch Optuna's internals.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from orchestrator.search.ascent import N_LEADERS, Box, evaluate, maximise
from orchestrator.search.encoding import Encoding, FloatArray
from orchestrator.search.model import Evidence
from orchestrator.search.quiet import quiet
from orchestrator.search.regression import (
    N_FIT,
    N_KNOWN,
    Regression,
    believe,
    best_belief,
    conditioned,
    fit,
    one_thread,
)
from orchestrator.search.scores import warp

N_FAILED = 100
"""The model of the scores knows the places of at most this many failures, the latest."""

N_LISTED = 4096
"""A space of at most this many points is searched by looking at each."""

N_TOGETHER = 256
"""Points from which those that are tried together are chosen."""

N_SAMPLES = 128
"""Quasi-Monte Carlo samples of the hypervolume."""

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

    max_batch = N_TOGETHER

    def __init__(self, encoding: Encoding) -> None:
        self._box = Box(encoding)
        self._regressions: dict[tuple[int, int], Regression] = {}

    def propose(self, evidence: Evidence, seed: tuple[int, int], n: int = 1) -> Iterable[FloatArray]:
        """Return points, best first; the first `n` are meant to be tried together."""
        rng = np.random.RandomState(np.random.SeedSequence(seed).generate_state(4))
        with one_thread(), quiet():
            models = [self._model(i, evidence, seed[0]) for i in range(evidence.scores.shape[1])]
            # With noise the best score seen is luck: what the model believes of the points seen is the mark to beat.
            mark = best_belief(models[0]) if len(models) == 1 else None
            acquisition = self._promise(models, mark, evidence, rng)
            if len(evidence.failed):
                acquisition = Feasible(acquisition, self._success(evidence, rng))
            points = _apart(self._points(acquisition, evidence, rng), evidence.x, MIN_NEW)
            points = _apart(points, evidence.pending, MIN_APART)
            if n == 1:
                return points
            some = points[:N_TOGETHER]
            believers = [Believer(model, some) for model in models]
            promise = self._promise(believers, mark, evidence, rng)
            chosen = _together(some, acquisition, promise, believers, n)
            # The others are too near to these, which only matters where they cannot be the same.
            return points[chosen] if self._box.n_points is None else _first(points, chosen)

    def _model(self, objective: int, evidence: Evidence, seed: int) -> Any:
        """Return the model of one objective, which knows where trials failed or are in flight."""
        regression = self._regressions.setdefault((objective, seed), Regression(self._box.is_categorical, seed))
        model = regression.model(evidence.x, evidence.scores[:, objective])
        believe(model, np.vstack([evidence.failed[-N_FAILED:], evidence.pending]))
        return model

    def _points(self, acquisition: Any, evidence: Evidence, rng: np.random.RandomState) -> FloatArray:
        """Return points where the acquisition is large, best first."""
        if self._box.n_points is not None and self._box.n_points <= N_LISTED:
            points = self._box.every_point()
            return points[np.argsort(-evaluate(acquisition, points), kind="stable")]
        ranks = np.argsort(np.argsort(evidence.scores, axis=0, kind="stable"), axis=0).min(axis=1)
        leaders = np.unique(evidence.x[np.argsort(ranks, kind="stable")[:N_LEADERS]], axis=0)
        return maximise(acquisition, self._box, leaders, rng)

    def _success(self, evidence: Evidence, rng: np.random.RandomState) -> Any:
        """Return a model that is positive where trials succeed, negative where they fail."""
        x = np.vstack([evidence.x, evidence.failed])
        labels = np.repeat([1.0, -1.0], [len(evidence.x), len(evidence.failed)])
        order = rng.permutation(len(x))[:N_KNOWN]
        x, labels = x[order], labels[order]
        kernel = fit(x[:N_FIT], labels[:N_FIT], self._box.is_categorical)
        model = conditioned(x, labels, self._box.is_categorical, kernel)
        believe(model, evidence.pending)
        return model

    def _promise(
        self, models: Sequence[Any], mark: float | None, evidence: Evidence, rng: np.random.RandomState
    ) -> Any:
        """Return the acquisition function: the improvement on `mark`, without one on the hypervolume of several objectives."""
        import torch
        from optuna._gp import acqf

        if mark is not None:
            return acqf.LogEI(models[0], self._box, threshold=mark)
        known = torch.from_numpy(-np.column_stack([warp(column) for column in evidence.scores.T]))
        return acqf.LogEHVI(list(models), self._box, known, n_qmc_samples=N_SAMPLES, qmc_seed=rng.randint(2**30))


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


def _apart(points: FloatArray, others: FloatArray, distance: float) -> FloatArray:
    """Return the points with those last that are closer than `distance` to one of the others in every feature."""
    if not len(others):
        return points
    from scipy.spatial.distance import cdist

    gaps = cdist(points, others, "chebyshev").min(axis=1)
    return points[np.argsort(gaps < distance, kind="stable")]


class Believer:
    """A model of m points, [m, d], that can be told to believe what it expects of one of them.

    That leaves its means as they are and takes from its covariances: O(m^2) for each, however much the model knows.
    """

    def __init__(self, model: Any, points: FloatArray) -> None:
        import torch

        with torch.no_grad():
            self._mean, self._covariance = model.posterior(torch.from_numpy(points), joint=True)
        self._noise = float(model.noise_var)
        self.length_scales = model.length_scales

    def believe(self, i: int) -> None:
        """Believe what is expected of the i-th point."""
        shared = self._covariance[:, i].clone()
        self._covariance -= shared.outer(shared) / (shared[i] + self._noise)

    def posterior(self, _x: Any) -> tuple[Any, Any]:
        """Return mean and variance of the m points, whatever is asked for: what an acquisition function reads."""
        return self._mean, self._covariance.diagonal().clamp(min=0.0)


def _together(points: FloatArray, acquisition: Any, promise: Any, believers: Sequence[Believer], n: int) -> list[int]:
    """Return the indices of up to `n` points to try together: each promises most if those before give what is expected.

    Args:
        points: [m, d], the best first.
        acquisition: What ranked them.
        promise: The part of it that changes with what is believed, from `believers`.
        believers: The models of these points.
        n: How many.
    """
    rest = evaluate(acquisition, points) - promise.eval_acqf_no_grad(points)
    is_free = np.ones(len(points), dtype=bool)
    chosen = [0]
    while True:
        is_free &= np.abs(points - points[chosen[-1]]).max(axis=1) >= MIN_APART
        if len(chosen) == n or not is_free.any():
            return chosen
        for believer in believers:
            believer.believe(chosen[-1])
        values = promise.eval_acqf_no_grad(points) + rest
        chosen.append(int(np.argmax(np.where(is_free, values, -np.inf))))


def _first(points: FloatArray, indices: list[int]) -> FloatArray:
    """Return the points with those of the indices first."""
    return np.vstack([points[indices], np.delete(points, indices, axis=0)])
