"""How much is a point worth trying? The logarithm of the improvement that models expect there, and its gradient.

Logarithms keep their slope where the improvement itself is too small for a float (Ament et al. 2023, arXiv 2310.20708).

Notation: x [n, d] points; means and variances [k, n] of k models at these points, higher is better.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr, ndtri

from orchestrator.search.encoding import FloatArray
from orchestrator.search.hypervolume import boxes, reference
from orchestrator.search.regression import Model

N_SAMPLES = 128
"""Quasi-Monte Carlo samples of the hypervolume (a power of 2)."""

MIN_VARIANCE = 1e-12
"""Added to each variance: a point that is known exactly has a logarithm, too."""

MIN_GAIN = 1e-12
"""Smallest side of a box of hypervolume."""

TAIL = -25.0
"""Standard deviations below which the improvement is computed by its asymptote."""

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


Slopes: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]
"""Values [n], and their derivatives by means and by variances, [k, n]."""


class Utility(Protocol):
    """What beliefs about a point are worth."""

    def values(self, means: FloatArray, variances: FloatArray) -> FloatArray:
        """Return the values, [n]."""

    def slopes(self, means: FloatArray, variances: FloatArray) -> Slopes:
        """Return the values and their derivatives."""


@dataclass(frozen=True, slots=True)
class Term:
    """A utility of what some models believe."""

    utility: Utility
    models: Sequence[Model]

    def values(self, x: FloatArray) -> FloatArray:
        """Return the values at `x`, [n]."""
        means, variances = zip(*[model.posterior(x) for model in self.models], strict=True)
        return self.utility.values(np.array(means), np.array(variances))

    def slopes(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the values at `x`, [n], and their gradients, [n, d]."""
        beliefs = [model.posterior_slopes(x) for model in self.models]
        means, variances = np.array([b[0] for b in beliefs]), np.array([b[1] for b in beliefs])
        value, by_mean, by_variance = self.utility.slopes(means, variances)
        gradient = np.zeros_like(x)
        for i, (_, _, mean, variance) in enumerate(beliefs):
            gradient += by_mean[i, :, np.newaxis] * mean + by_variance[i, :, np.newaxis] * variance
        return value, gradient


@dataclass(frozen=True, slots=True)
class Acquisition:
    """A function of points, large where one is worth trying: the sum of its terms."""

    terms: Sequence[Term]

    @property
    def length_scales(self) -> FloatArray:
        """Distances over which it changes, [d]."""
        return np.asarray(np.mean([model.length_scales for model in self.terms[0].models], axis=0), dtype=np.float64)

    def values(self, x: FloatArray) -> FloatArray:
        """Return the values at `x`, [n]."""
        return np.asarray(np.sum([term.values(x) for term in self.terms], axis=0), dtype=np.float64)

    def slopes(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the values at `x`, [n], and their gradients, [n, d]."""
        values, gradients = zip(*[term.slopes(x) for term in self.terms], strict=True)
        return np.sum(values, axis=0), np.sum(gradients, axis=0)


@dataclass(frozen=True, slots=True)
class LogImprovement:
    """The log expected improvement of one objective on `mark`."""

    mark: float

    def values(self, means: FloatArray, variances: FloatArray) -> FloatArray:
        """Return the values, [n]."""
        deviation = np.sqrt(variances[0] + MIN_VARIANCE)
        value = log_improvement((means[0] - self.mark) / deviation) + np.log(deviation)
        return np.asarray(value, dtype=np.float64)

    def slopes(self, means: FloatArray, variances: FloatArray) -> Slopes:
        """Return the values and their derivatives."""
        deviation = np.sqrt(variances + MIN_VARIANCE)
        z = (means - self.mark) / deviation
        value = log_improvement(z)
        by_mean = np.exp(log_ndtr(z) - value) / deviation
        by_variance = (1 / deviation - by_mean * z) / (2 * deviation)
        return (value + np.log(deviation))[0], by_mean, by_variance


class LogSuccess:
    """The log probability that one model is positive."""

    def values(self, means: FloatArray, variances: FloatArray) -> FloatArray:
        """Return the values, [n]."""
        return np.asarray(log_ndtr(means[0] / np.sqrt(variances[0] + MIN_VARIANCE)), dtype=np.float64)

    def slopes(self, means: FloatArray, variances: FloatArray) -> Slopes:
        """Return the values and their derivatives."""
        deviation = np.sqrt(variances + MIN_VARIANCE)
        z = means / deviation
        value = log_ndtr(z)
        by_mean = np.exp(-0.5 * z**2 - LOG_SQRT_2PI - value) / deviation
        return value[0], by_mean, -by_mean * z / (2 * deviation)


class LogHypervolume:
    """The log expected improvement of the hypervolume, over fixed samples (Daulton et al. 2020, arXiv 2006.05078)."""

    def __init__(self, scores: FloatArray, seed: int) -> None:
        """Take the scores that are known, [n, k], lower is better."""
        low, high = boxes(scores, reference(scores))
        self._samples = normal_samples(scores.shape[1], seed)
        self._bottoms = -high
        self._sides = np.maximum(high - low, MIN_GAIN)

    def values(self, means: FloatArray, variances: FloatArray) -> FloatArray:
        """Return the values, [n]."""
        volumes = np.prod(self._gains(means, np.sqrt(variances + MIN_VARIANCE)), axis=0)
        return np.asarray(np.log(volumes.sum(axis=(1, 2)) / N_SAMPLES), dtype=np.float64)

    def slopes(self, means: FloatArray, variances: FloatArray) -> Slopes:
        """Return the values and their derivatives."""
        deviations = np.sqrt(variances + MIN_VARIANCE)
        gains = self._gains(means, deviations)
        volumes = np.prod(gains, axis=0)
        total = volumes.sum(axis=(1, 2))
        grows = (gains > MIN_GAIN) & (gains < self._sides.T[:, np.newaxis, np.newaxis])
        by_sample = np.where(grows, volumes / gains, 0.0).sum(axis=3) / total[:, np.newaxis]
        by_deviation = (by_sample * self._samples.T[:, np.newaxis]).sum(axis=2)
        return np.log(total / N_SAMPLES), by_sample.sum(axis=2), by_deviation / (2 * deviations)

    def _gains(self, means: FloatArray, deviations: FloatArray) -> FloatArray:
        """Return how far each sample reaches into each box along each objective: [k, n, samples, boxes]."""
        reached = means[:, :, np.newaxis] + deviations[:, :, np.newaxis] * self._samples.T[:, np.newaxis]
        gains = reached[..., np.newaxis] - self._bottoms.T[:, np.newaxis, np.newaxis]
        return np.clip(gains, MIN_GAIN, self._sides.T[:, np.newaxis, np.newaxis], out=gains)


def log_improvement(z: FloatArray) -> FloatArray:
    """Return ``log(z * cdf(z) + pdf(z))``: the log improvement on 0 expected of a normal with mean `z` and variance 1."""
    near, far = np.maximum(z, TAIL), np.minimum(z, TAIL)
    exact = np.log(near * ndtr(near) + np.exp(-0.5 * near**2 - LOG_SQRT_2PI))
    tail = -0.5 * far**2 - LOG_SQRT_2PI + np.log1p(math.sqrt(math.pi / 2) * far * erfcx(-math.sqrt(0.5) * far))
    return np.asarray(np.where(z < TAIL, tail, exact), dtype=np.float64)


def normal_samples(k: int, seed: int) -> FloatArray:
    """Return samples of a standard normal, evenly spread: [N_SAMPLES, k]."""
    from scipy.stats import qmc

    uniform = qmc.Sobol(k, scramble=True, rng=seed).random_base2(N_SAMPLES.bit_length() - 1)
    return np.asarray(ndtri(np.clip(uniform, 1e-9, 1 - 1e-9)), dtype=np.float64)
