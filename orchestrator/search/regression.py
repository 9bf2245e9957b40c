"""Gaussian processes of what is known.

Fitting takes most of a suggestion's time and its result changes slowly: kernel parameters are those of the first m
observations, where m follows n in steps, and every observation up to n is then known to the model. So a kernel serves
several suggestions, and still depends on nothing but the observations in their order.

Notation: X [n, d] features, y [n] warped scores, lower is better. Models see -y: what they expect is what is wanted.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.linalg.lapack import dtrtrs

from orchestrator.search.encoding import FloatArray
from orchestrator.search.kernel import BoolArray, Kernel, fit
from orchestrator.search.scores import warp

N_FIT = 150
"""Kernel parameters are fitted to at most this many observations, since each step of the fit costs n^3."""

N_KNOWN = 400
"""The fitted model knows at most this many observations."""


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

    def model(self, x: FloatArray, scores: FloatArray) -> "Model":
        """Return a model of `scores` [n] at `x` [n, d], both in order of completion."""
        kernel = self._kernel_for(x[: n_fitted(len(x))], scores[: n_fitted(len(x))])
        known = Data.most_telling(x, scores, N_KNOWN, self._seed)
        return Model(known.x, -known.y, kernel)

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


class Model:
    """A Gaussian process that knows the values `y` [n], higher is better, at `x` [n, d]."""

    def __init__(self, x: FloatArray, y: FloatArray, kernel: Kernel) -> None:
        self._x = x
        self._y = y
        self.kernel = kernel
        covariances = kernel.covariances(x, x)
        covariances.flat[:: len(x) + 1] += kernel.noise
        self._root: FloatArray = cholesky(covariances, lower=True, overwrite_a=True, check_finite=False)
        self._weights: FloatArray = cho_solve((self._root, True), y, check_finite=False)

    @property
    def length_scales(self) -> FloatArray:
        """The length scales of the features, [d]."""
        return self.kernel.length_scales

    def posterior(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the mean and the variance of the function at `x` [m, d], both [m]."""
        covariances = self.kernel.covariances(x, self._x)
        return covariances @ self._weights, self._left(self._reduced(covariances))

    def posterior_slopes(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return the mean and the variance at `x` [m, d], [m], and their gradients, [m, d]; of a category they are 0."""
        covariances, slopes = self.kernel.slopes(x, self._x)
        reduced = self._reduced(covariances)
        solved: FloatArray = dtrtrs(self._root, reduced, lower=1, trans=1)[0].T
        by_mean = self.kernel.gradients(x, slopes * self._weights, self._x)
        by_variance = self.kernel.gradients(x, -2 * slopes * solved, self._x)
        return covariances @ self._weights, self._left(reduced), by_mean, by_variance

    def joint(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the mean at `x` [m, d], [m], and the covariances of the function there, [m, m]."""
        covariances = self.kernel.covariances(x, self._x)
        reduced = self._reduced(covariances)
        return covariances @ self._weights, self.kernel.covariances(x, x) - reduced.T @ reduced

    def believing(self, x: FloatArray) -> "Model":
        """Return a model that also knows, at `x` [m, d], the values that this one expects there."""
        if not len(x):
            return self
        return Model(np.vstack([self._x, x]), np.concatenate([self._y, self.posterior(x)[0]]), self.kernel)

    def best_belief(self) -> float:
        """Return the largest mean at the points that the model knows, believed ones included."""
        return float(self.posterior(self._x)[0].max())

    def _reduced(self, covariances: FloatArray) -> FloatArray:
        """Return L^-1 K(X, x), [n, m], of K(x, X) [m, n], where L L' = C."""
        reduced: FloatArray = dtrtrs(self._root, covariances.T, lower=1)[0]
        return reduced

    def _left(self, reduced: FloatArray) -> FloatArray:
        """Return the variances, [m]."""
        left: FloatArray = np.maximum(self.kernel.scale - np.einsum("ij,ij->j", reduced, reduced), 0.0)
        return left
