"""The covariance of a Gaussian process, Matern 5/2 with a length scale per feature, and the fit of its parameters.

Two categories are 0 or 1 apart (Hamming distance), numbers as far as they differ.

Notation: X [n, d] features, y [n] values, r2 squared distances in units of the length scales, C = K(X, X) + noise I.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from orchestrator.search.encoding import FloatArray

BoolArray = npt.NDArray[np.bool_]

MIN_NOISE = 1e-6
"""Smallest variance of the noise, of values with unit variance."""

CENTRE_LOG_NOISE = -5.0
SPREAD_UP = 1.0
SPREAD_DOWN = 2.5
"""Where the logarithm of the noise variance is expected, and its standard deviations above and below."""

TOLERANCE = 1e-2
"""Largest component of the gradient at which the fit ends: less changes nothing that a proposal shows."""

MAX_LOG = 300.0
"""Parameters whose logarithm is beyond this are refused: nothing can be computed from them."""

FIRST_LOG_NOISE = math.log(1e-2)
"""Where the fit begins: little noise. Where all is taken for noise, the first step can lead to where nothing is explained."""

REFUSED = 1e25
"""The loss of parameters whose matrix cannot be factored."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A covariance function and the noise that it was fitted with.

    Attributes:
        is_categorical: [d], which features are categories.
        inverse: [d], inverse squared length scales.
        scale: Variance of the function.
        noise: Variance of what is observed around it.
    """

    is_categorical: BoolArray
    inverse: FloatArray
    scale: float
    noise: float

    @classmethod
    def of(cls, is_categorical: BoolArray, raw: FloatArray) -> "Kernel":
        """Return the kernel of raw parameters: the logarithms of `inverse`, of `scale` and of the noise above its minimum."""
        inverse, scale, noise = np.exp(raw[:-2]), math.exp(raw[-2]), math.exp(raw[-1]) + MIN_NOISE
        return cls(is_categorical=is_categorical, inverse=inverse, scale=scale, noise=noise)

    @property
    def length_scales(self) -> FloatArray:
        """The length scales, [d]."""
        return np.asarray(1 / np.sqrt(self.inverse), dtype=np.float64)

    def covariances(self, a: FloatArray, b: FloatArray) -> FloatArray:
        """Return the covariances of the function at `a` [m, d] and `b` [n, d]: [m, n]."""
        return self.scale * matern(self._distances(a, b))[0]

    def slopes(self, a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the covariances and their derivatives by the squared distance, both [m, n]."""
        correlations, slopes = matern(self._distances(a, b))
        return self.scale * correlations, self.scale * slopes

    def gradients(self, x: FloatArray, weights: FloatArray, others: FloatArray) -> FloatArray:
        """Return sums over j of weights[i, j] times the gradient, at x[i], of the squared distance to others[j].

        Args:
            x: [m, d]; of a category the gradient is 0.
            weights: [m, n].
            others: [n, d].
        """
        sums = x * weights.sum(axis=1)[:, np.newaxis] - weights @ others
        return np.asarray(2 * np.square(self._units) * sums, dtype=np.float64)

    def _distances(self, a: FloatArray, b: FloatArray) -> FloatArray:
        r2: FloatArray = cdist(a * self._units, b * self._units, "sqeuclidean")
        for i in self._categories:
            r2 += self.inverse[i] * (a[:, i, np.newaxis] != b[:, i])
        return r2

    @cached_property
    def _units(self) -> FloatArray:
        """What a difference of 1 measures in length scales, [d]; of a category 0."""
        return np.where(self.is_categorical, 0.0, np.sqrt(self.inverse))

    @cached_property
    def _categories(self) -> list[int]:
        return [int(i) for i in np.flatnonzero(self.is_categorical)]


def matern(r2: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the Matern 5/2 correlations of points squared distances apart, and their derivatives by these."""
    s = np.sqrt(5 * r2)
    decay = np.exp(-s)
    return decay * ((5 / 3) * r2 + s + 1), (-5 / 6) * (s + 1) * decay


def fit(x: FloatArray, y: FloatArray, is_categorical: BoolArray) -> Kernel:
    """Return the kernel that explains `y` [n] at `x` [n, d] best; a plain one where none does."""
    start = np.zeros(x.shape[1] + 2)
    start[-1] = FIRST_LOG_NOISE
    best = minimize(Posterior(x, y, is_categorical), start, jac=True, method="L-BFGS-B", options={"gtol": TOLERANCE})
    return Kernel.of(is_categorical, best.x if best.fun < REFUSED else start)


class Posterior:
    """The negative logarithm of the posterior density of raw kernel parameters, up to a constant, and its gradient."""

    def __init__(self, x: FloatArray, y: FloatArray, is_categorical: BoolArray) -> None:
        self._y = y
        self._below = np.tril_indices(len(x), -1)
        row, column = self._below
        gaps = np.square(x[row] - x[column])
        gaps[:, is_categorical] = gaps[:, is_categorical] > 0
        self._gaps = np.ascontiguousarray(gaps.T)  # [d, n (n - 1) / 2]: one half of the matrix says all

    def __call__(self, raw: FloatArray) -> tuple[float, FloatArray]:
        """Return the loss and its gradient."""
        refused = REFUSED, np.zeros_like(raw)
        if not np.abs(raw).max() <= MAX_LOG:
            return refused
        value, gradient = self._evidence(raw)
        if value is None:
            return refused
        prior, slope = log_prior(raw)
        return value - prior, gradient - slope

    def _evidence(self, raw: FloatArray) -> tuple[float | None, FloatArray]:
        """Return the negative log marginal likelihood, without its constant, and its gradient; None where C has no root."""
        inverse, scale, noise = np.exp(raw[:-2]), math.exp(raw[-2]), math.exp(raw[-1]) + MIN_NOISE
        row, column = self._below
        k, slope = matern(inverse @ self._gaps)
        c = np.empty((len(self._y), len(self._y)), order="F")
        c[row, column] = scale * k
        np.fill_diagonal(c, scale + noise)
        root, failed = lapack.dpotrf(c, lower=1, overwrite_a=1, clean=0)
        if failed:
            return None, raw
        weights, _ = lapack.dpotrs(root, self._y, lower=1)
        value = float(np.log(root.diagonal()).sum() + 0.5 * self._y @ weights)
        inverted, _ = lapack.dpotri(root, lower=1, overwrite_c=1)
        # The derivative by each entry of C below the diagonal, which stands for two, and by the diagonal.
        by_entry = inverted[row, column] - weights[row] * weights[column]
        by_diagonal = 0.5 * float((inverted.diagonal() - weights**2).sum())
        by_inverse = scale * (self._gaps @ (by_entry * slope)) * inverse
        by_scale = scale * (float(by_entry @ k) + by_diagonal)
        return value, np.concatenate([by_inverse, [by_scale, by_diagonal * (noise - MIN_NOISE)]])


def log_prior(raw: FloatArray) -> tuple[float, FloatArray]:
    """Return the log prior density of raw kernel parameters, up to a constant, and its gradient.

    Length scales grow with the square root of the dimension (Hvarfner et al. 2024, arXiv 2402.02229); the scale has a
    gamma prior, Optuna's. The logarithm of the noise is centred at -5 and reaches further down than up: without the lower
    tail a few observations of a noisy objective are believed to be exact, and exact ones need only a dozen to say so.
    """
    lengths, scale = -0.5 * raw[:-2], math.exp(raw[-2])
    noise = math.exp(raw[-1]) + MIN_NOISE
    off = lengths - (math.sqrt(2) + 0.5 * math.log(len(lengths)))
    log_noise = math.log(noise) - CENTRE_LOG_NOISE
    spread = SPREAD_UP if log_noise > 0 else SPREAD_DOWN
    value = float((-(off**2) / 6 - lengths).sum()) + raw[-2] - scale - (log_noise / spread) ** 2 / 2
    by_noise = -log_noise / spread**2 * (noise - MIN_NOISE) / noise
    return value, np.concatenate([0.5 * (off / 3 + 1), [1 - scale, by_noise]])
