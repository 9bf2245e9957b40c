"""Bayesian optimisation with a Gaussian process: any grid, noisy scores, failures, sweeps of a thousand trials and more."""

from collections.abc import Iterable, Sequence

import numpy as np

from orchestrator.search.acquisition import Acquisition, LogHypervolume, LogImprovement, LogSuccess, Term, Utility
from orchestrator.search.acquisition_optimiser import N_LEADERS, Box, evaluate, maximise
from orchestrator.search.encoding import Encoding, FloatArray
from orchestrator.search.kernel import fit
from orchestrator.search.model import Evidence
from orchestrator.search.regression import N_FIT, N_KNOWN, Model, Regression
from orchestrator.search.scores import warp
from orchestrator.search.threads import one_thread

N_FAILED = 100
"""The model of the scores knows the places of at most this many failures, the latest."""

N_LISTED = 4096
"""A space of at most this many points is searched by looking at each."""

N_TOGETHER = 256
"""Points from which those that are tried together are chosen."""

MIN_APART = 0.01
"""A proposal differs by this much, in some feature, from every trial in flight."""

MIN_NEW = 1e-6
"""A proposal differs by this much, in some feature, from every trial that has ended."""


class GaussianProcess:
    """Proposes where the log expected improvement is largest (of the hypervolume, with several objectives).

    Where trials have failed the acquisition is weighted with the probability of success, which a second process learns from
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
        with one_thread():
            models = [self._model(i, evidence, seed[0]) for i in range(evidence.scores.shape[1])]
            improvement = _improvement(models, evidence, rng)
            terms = [Term(improvement, models)]
            if len(evidence.failed):
                terms.append(Term(LogSuccess(), [self._success(evidence, rng)]))
            acquisition = Acquisition(terms)
            points = _apart(self._points(acquisition, evidence, rng), evidence.x, MIN_NEW)
            points = _apart(points, evidence.pending, MIN_APART)
            if n == 1:
                return points
            some = points[:N_TOGETHER]
            chosen = _together(some, acquisition, improvement, [Believer(model, some) for model in models], n)
            # The others are too near to these, which only matters where they cannot be the same.
            return points[chosen] if self._box.n_points is None else _first(points, chosen)

    def _model(self, objective: int, evidence: Evidence, seed: int) -> Model:
        """Return the model of one objective, which knows where trials failed or are in flight."""
        regression = self._regressions.setdefault((objective, seed), Regression(self._box.is_categorical, seed))
        model = regression.model(evidence.x, evidence.scores[:, objective])
        return model.believing(np.vstack([evidence.failed[-N_FAILED:], evidence.pending]))

    def _points(self, acquisition: Acquisition, evidence: Evidence, rng: np.random.RandomState) -> FloatArray:
        """Return points where the acquisition is large, best first."""
        if self._box.n_points is not None and self._box.n_points <= N_LISTED:
            points = self._box.every_point()
            return points[np.argsort(-evaluate(acquisition, points), kind="stable")]
        ranks = np.argsort(np.argsort(evidence.scores, axis=0, kind="stable"), axis=0).min(axis=1)
        leaders = np.unique(evidence.x[np.argsort(ranks, kind="stable")[:N_LEADERS]], axis=0)
        return maximise(acquisition, self._box, leaders, rng)

    def _success(self, evidence: Evidence, rng: np.random.RandomState) -> Model:
        """Return a model that is positive where trials succeed, negative where they fail."""
        x = np.vstack([evidence.x, evidence.failed])
        labels = np.repeat([1.0, -1.0], [len(evidence.x), len(evidence.failed)])
        order = rng.permutation(len(x))[:N_KNOWN]
        x, labels = x[order], labels[order]
        kernel = fit(x[:N_FIT], labels[:N_FIT], self._box.is_categorical)
        return Model(x, labels, kernel).believing(evidence.pending)


def _improvement(models: Sequence[Model], evidence: Evidence, rng: np.random.RandomState) -> Utility:
    """Return the improvement on what is known: of one objective, or of the hypervolume of several."""
    if len(models) == 1:
        # With noise the best score seen is luck: what the model believes of the points seen is the mark to beat.
        return LogImprovement(models[0].best_belief())
    known = np.column_stack([warp(column) for column in evidence.scores.T])
    return LogHypervolume(known, rng.randint(2**30))


def _apart(points: FloatArray, others: FloatArray, distance: float) -> FloatArray:
    """Return the points with those last that are closer than `distance` to one of the others in every feature."""
    if not len(others):
        return points
    from scipy.spatial.distance import cdist

    gaps = cdist(points, others, "chebyshev").min(axis=1)
    return points[np.argsort(gaps < distance, kind="stable")]


class Believer:
    """What a model believes of m points, [m, d], and would if it knew what it expects of some of them.

    That leaves its means as they are and takes from its covariances: O(m^2) for each, however much the model knows.
    """

    def __init__(self, model: Model, points: FloatArray) -> None:
        self.means, self._covariance = model.joint(points)
        self._noise = model.kernel.noise

    def believe(self, i: int) -> None:
        """Believe what is expected of the i-th point."""
        shared = self._covariance[:, i].copy()
        self._covariance -= np.outer(shared, shared) / (shared[i] + self._noise)

    @property
    def variances(self) -> FloatArray:
        """The variances that are left, [m]."""
        return np.maximum(self._covariance.diagonal(), 0.0)


def _together(
    points: FloatArray, acquisition: Acquisition, improvement: Utility, believers: Sequence[Believer], n: int
) -> list[int]:
    """Return the indices of up to `n` points to try together: each is the best if those before give what is expected.

    Args:
        points: [m, d], the best first.
        acquisition: What ranked them.
        improvement: The part of it that changes with what is believed.
        believers: The models of these points, by objective.
        n: How many.
    """
    means = np.array([believer.means for believer in believers])
    is_free = np.ones(len(points), dtype=bool)
    rest = evaluate(acquisition, points) - _worth(improvement, means, believers)
    chosen = [0]
    while True:
        is_free &= np.abs(points - points[chosen[-1]]).max(axis=1) >= MIN_APART
        if len(chosen) == n or not is_free.any():
            return chosen
        for believer in believers:
            believer.believe(chosen[-1])
        values = _worth(improvement, means, believers) + rest
        chosen.append(int(np.argmax(np.where(is_free, values, -np.inf))))


def _worth(improvement: Utility, means: FloatArray, believers: Sequence[Believer]) -> FloatArray:
    return improvement.values(means, np.array([believer.variances for believer in believers]))


def _first(points: FloatArray, indices: list[int]) -> FloatArray:
    """Return the points with those of the indices first."""
    return np.vstack([points[indices], np.delete(points, indices, axis=0)])
