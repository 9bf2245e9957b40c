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

    def __init__(self, encoding: Encoding) -> None:
        self._box = Box(encoding)
        self._regressions: dict[tuple[int, int], Regression] = {}

    def propose(self, evidence: Evidence, seed: tuple[int, int]) -> Iterable[FloatArray]:
        """Return points, best first."""
        rng = np.random.RandomState(np.random.SeedSequence(seed).generate_state(4))
        with one_thread(), quiet():
            models = [self._model(i, evidence, seed[0]) for i in range(evidence.scores.shape[1])]
            acquisition = self._acquisition(models, evidence, rng)
            if len(evidence.failed):
                acquisition = Feasible(acquisition, self._success(evidence, rng))
            points = _apart(self._points(acquisition, evidence, rng), evidence.x, MIN_NEW)
            return list(_apart(points, evidence.pending, MIN_APART))

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

    def _acquisition(self, models: Sequence[Any], evidence: Evidence, rng: np.random.RandomState) -> Any:
        import torch
        from optuna._gp import acqf

        if len(models) == 1:
            # With noise the best score seen is luck: what the model believes of the points seen is the mark to beat.
            return acqf.LogEI(models[0], self._box, threshold=best_belief(models[0]))
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
    gaps = np.array([np.abs(others - point).max(axis=1).min() for point in points])
    return points[np.argsort(gaps < distance, kind="stable")]
