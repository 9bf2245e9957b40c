"""What each parameter explains of a function's variance over its whole space, as a Gaussian process believes of few trials.

The function is a sum of parts (functional ANOVA): a constant, one part per parameter, one per pair of parameters, each
of mean zero over the declared space whatever the others are, so that their variances add up. Shares are computed from
functions drawn from the posterior: these know what the trials know and are free elsewhere, so that it matters little
where a search has concentrated its trials, and much where nobody has looked.

The parts have orthogonal kernels (Durrande et al. 2013; Lu et al. 2022, arXiv 2206.09861) in a finite basis. Metropolis
chains draw the kernels' parameters.

Notation: n trials, d parameters, m basis functions of a parameter, q places on it, c chains, s draws, L lengths. `y`
[n] has about zero mean and unit variance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from orchestrator.reporting.basis import LENGTHS, Basis, FloatArray

IntArray: TypeAlias = npt.NDArray[np.int64]
Sums: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]
"""Over the parameters, each [c, n, n]: kernels of their own parts, kernels in pairs, squares of the latter."""

MEAN_VARIANCE = 3.0
"""Prior variance of the constant."""

PRIOR_EFFECT = (-2.0, 2.0)
PRIOR_PAIRS = (-0.5, 1.5)
PRIOR_NOISE = (-4.0, 2.0)
"""Means and standard deviations of logarithms: the variance of a parameter's own part, of pairs' parts relative to the
product of the own ones, of the noise."""

LEAST_NOISE = 1e-5
STEPS = (0.3, 1.0, 2.5)
"""Sizes of the chains' steps in the logarithms."""

N_BURNT = 15
N_KEPT = 10
"""Rounds of steps before the draws, and between the first and the last of them."""

CELLS = 4e4
"""Numbers that are computed at once: entries of a kernel times chains."""

N_SHUFFLES = 199
CORNER = 1e15
"""What makes the matrix that is given to Cholesky with `y` as its last row positive definite."""


@dataclass(frozen=True, kw_only=True)
class Explained:
    """What is believed of a function, as s draws.

    Attributes:
        totals: The share of each parameter in the variance, [s, d], with all parts that it takes part in.
        alone: The same with its own part only.
        seen: What it explains of the variance that trials all over the space would show, noise included, [s, d].
        p_values: How often chance alone would make each parameter look as telling, [d].
        coefficients: Those of the parts, [s, p].
    """

    totals: FloatArray
    alone: FloatArray
    seen: FloatArray
    p_values: FloatArray
    coefficients: FloatArray


def explain(bases: Sequence[Basis], y: FloatArray, rng: np.random.Generator) -> Explained:
    """Return what is believed of the function whose values at the trials, [n], are `y`."""
    chains, parts = Chains(bases, y, rng), Parts(bases)
    for _ in range(N_BURNT):
        chains.advance()
    drawn, noises = [], []
    for _ in range(N_KEPT):
        chains.advance()
        drawn.append(parts.draw(chains, rng))
        noises.append(chains.noise)
    coefficients = np.vstack(drawn)
    own, totals, whole = parts.variances(coefficients)
    return Explained(
        totals=totals / whole,
        alone=own / whole,
        seen=totals / (whole + np.concatenate(noises)[:, np.newaxis]),
        p_values=p_values(chains, rng),
        coefficients=coefficients,
    )


class Chains:
    """Kernel parameters on their way through the posterior, c chains side by side.

    Attributes:
        logs: Logarithms of the parameters' own variances, of the pairs' factor and of the noise, [c, d + 2].
        lengths: Which length each parameter has, [c, d].
    """

    def __init__(self, bases: Sequence[Basis], y: FloatArray, rng: np.random.Generator) -> None:
        self.bases, self.y, self._rng = bases, y, rng
        self.n, self.d = len(y), len(bases)
        self.c = int(np.clip(CELLS / self.n**2, 4, 10))
        self.own = [basis.kernels(basis.at_trials.shape[1]) for basis in bases]
        self.paired = [basis.kernels(basis.n_paired) for basis in bases]
        priors = np.array([*[PRIOR_EFFECT] * self.d, PRIOR_PAIRS, PRIOR_NOISE])
        self._means, self._spreads = priors.T
        self.logs = self._means + self._spreads / 2 * rng.normal(size=(self.c, self.d + 2))
        self.lengths = rng.integers(1, len(LENGTHS), size=(self.c, self.d))
        self._sums: Sums = (np.zeros((self.c, self.n, self.n)),) * 3
        for i in range(self.d):
            own, pair = self._scaled(i, self.logs, self.lengths)
            self._sums = self._sums[0] + own, self._sums[1] + pair, self._sums[2] + pair**2
        self._fit = self._likelihood(self._sums, self.logs)

    @property
    def noise(self) -> FloatArray:
        """The variance of the noise, [c]."""
        return np.asarray(np.exp(self.logs[:, -1]) + LEAST_NOISE, dtype=np.float64)

    def covariance(self) -> FloatArray:
        """Return the covariance of the trials, [c, n, n]."""
        return self._covariance(self._sums, self.logs)

    def advance(self) -> None:
        """Try a step in every kernel parameter of every chain."""
        for i in range(self.d):
            self._step_effect(i)
        for i in (self.d, self.d + 1, self.d + 1):
            self._decide(self._sums, self._stepped(i), self.lengths)

    def without(self, i: int) -> tuple[FloatArray, FloatArray]:
        """Return the covariances without a parameter, and what its kernel in pairs is multiplied with, [c, n, n] each.

        What the parameter explained is noise there.
        """
        own, pair = self._scaled(i, self.logs, self.lengths)
        others = np.exp(self.logs[:, self.d])[:, np.newaxis, np.newaxis] * (self._sums[1] - pair)
        explained = own + pair * others
        covariance, at = self.covariance() - explained, np.arange(self.n)
        covariance[:, at, at] += explained[:, at, at].mean(axis=1, keepdims=True)
        return covariance, others

    def _step_effect(self, i: int) -> None:
        logs, lengths = self._stepped(i), self.lengths.copy()
        if not self.bases[i].is_category:
            moves = self._rng.choice([-1, 0, 0, 1], size=self.c)
            lengths[:, i] = np.clip(lengths[:, i] + moves, 0, len(LENGTHS) - 1)
        (own, pair), (new_own, new_pair) = self._scaled(i, self.logs, self.lengths), self._scaled(i, logs, lengths)
        sums = (
            self._sums[0] + new_own - own,
            self._sums[1] + new_pair - pair,
            self._sums[2] + new_pair**2 - pair**2,
        )
        self._decide(sums, logs, lengths)

    def _stepped(self, i: int) -> FloatArray:
        logs = self.logs.copy()
        logs[:, i] += self._rng.normal(size=self.c) * self._rng.choice(STEPS, size=self.c)
        return np.asarray(logs, dtype=np.float64)

    def _decide(self, sums: Sums, logs: FloatArray, lengths: IntArray) -> None:
        """Metropolis' rule, for each chain by itself."""
        fit = self._likelihood(sums, logs)
        gain = fit - self._fit + self._prior(logs) - self._prior(self.logs)
        taken = np.log(self._rng.random(self.c)) < gain
        self.logs[taken], self.lengths[taken], self._fit[taken] = logs[taken], lengths[taken], fit[taken]
        for old, new in zip(self._sums, sums, strict=True):
            old[taken] = new[taken]

    def _scaled(self, i: int, logs: FloatArray, lengths: IntArray) -> tuple[FloatArray, FloatArray]:
        """A parameter's kernels, of its own part and in pairs, [c, n, n] each."""
        variance = np.exp(logs[:, i])[:, np.newaxis, np.newaxis]
        return variance * self.own[i][lengths[:, i]], variance * self.paired[i][lengths[:, i]]

    def _covariance(self, sums: Sums, logs: FloatArray) -> FloatArray:
        own, paired, squares = sums
        pairs = np.exp(logs[:, self.d])[:, np.newaxis, np.newaxis]
        covariance = own + pairs / 2 * (paired**2 - squares) + MEAN_VARIANCE
        at = np.arange(self.n)
        covariance[:, at, at] += np.exp(logs[:, -1:]) + LEAST_NOISE
        return np.asarray(covariance, dtype=np.float64)

    def _likelihood(self, sums: Sums, logs: FloatArray) -> FloatArray:
        """The logarithm up to a constant, [c]; the last row of the factor is `y` made white."""
        bordered = np.empty((self.c, self.n + 1, self.n + 1))
        bordered[:, :-1, :-1] = self._covariance(sums, logs)
        bordered[:, -1, :-1] = bordered[:, :-1, -1] = self.y
        bordered[:, -1, -1] = CORNER
        factor = np.linalg.cholesky(bordered)
        at = np.arange(self.n)
        white, scales = factor[:, -1, :-1], factor[:, at, at]
        return np.asarray(-(white**2).sum(axis=1) / 2 - np.log(scales).sum(axis=1), dtype=np.float64)

    def _prior(self, logs: FloatArray) -> FloatArray:
        return np.asarray(-(((logs - self._means) / self._spreads) ** 2).sum(axis=1) / 2, dtype=np.float64)


class Parts:
    """The functions of all parts in a row: of every parameter, then of every pair; p in all."""

    def __init__(self, bases: Sequence[Basis]) -> None:
        self._bases = bases
        self.d = len(bases)
        self.pairs = list(combinations(range(self.d), 2))
        blocks = [basis.at_trials for basis in bases]
        blocks += [products(self._paired(i), self._paired(j)) for i, j in self.pairs]
        self._at_trials = np.hstack(blocks)
        ends = np.cumsum([0, *(block.shape[1] for block in blocks)]).tolist()
        self.slices = [slice(a, b) for a, b in pairwise(ends)]

    def draw(self, chains: Chains, rng: np.random.Generator) -> FloatArray:
        """Return coefficients drawn from the posterior, one row per chain, [c, p].

        By Matheron's rule: what is drawn from the prior is corrected by what it misses at the trials.
        """
        scales = np.stack([self._scales(chains, chain) for chain in range(chains.c)])
        drawn = rng.normal(size=scales.shape) * np.sqrt(scales)
        constant = np.sqrt(MEAN_VARIANCE) * rng.normal(size=(chains.c, 1))
        noise = np.sqrt(chains.noise)[:, np.newaxis] * rng.normal(size=(chains.c, chains.n))
        missed = chains.y - drawn @ self._at_trials.T - constant - noise
        weights = np.linalg.solve(chains.covariance(), missed[:, :, np.newaxis])[:, :, 0]
        return np.asarray(drawn + scales * (weights @ self._at_trials), dtype=np.float64)

    def variances(self, coefficients: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return variances of own parts, of all parts with a parameter, [s, d] each, and of the function, [s, 1]."""
        parts = np.stack([(coefficients[:, place] ** 2).sum(axis=1) for place in self.slices], axis=1)
        own = parts[:, : self.d]
        totals = own.copy()
        for k, pair in enumerate(self.pairs):
            totals[:, pair] += parts[:, [self.d + k]]
        return own, totals, parts.sum(axis=1, keepdims=True)

    def slice_through(self, trial: int, i: int, coefficients: FloatArray) -> FloatArray:
        """Return the function at the places of a parameter, the others as in a trial, up to a constant: [s, q]."""
        basis = self._bases[i]
        found = coefficients[:, self.slices[i]] @ basis.at_places.T
        places = basis.at_places[:, : basis.n_paired]
        for k, (a, b) in enumerate(self.pairs):
            if i not in (a, b):
                continue
            here = self._paired(b if i == a else a)[[trial]]
            functions = products(places, here) if i == a else products(here, places)
            found += coefficients[:, self.slices[self.d + k]] @ functions.T
        return np.asarray(found, dtype=np.float64)

    def _paired(self, i: int) -> FloatArray:
        return self._bases[i].at_trials[:, : self._bases[i].n_paired]

    def _scales(self, chains: Chains, chain: int) -> FloatArray:
        """The prior variances of the coefficients, [p]."""
        factor = np.exp(chains.logs[chain, self.d])
        own = [
            np.exp(chains.logs[chain, i]) * basis.variances[chains.lengths[chain, i]]
            for i, basis in enumerate(self._bases)
        ]
        paired = [variances[: basis.n_paired] for variances, basis in zip(own, self._bases, strict=True)]
        return np.concatenate([*own, *(factor * np.outer(paired[i], paired[j]).ravel() for i, j in self.pairs)])


def products(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return every function of `a` [n, m] times every one of `b` [n, l]: [n, m * l]; one row stands for all."""
    both = a[:, :, np.newaxis] * b[:, np.newaxis, :]
    return both.reshape(len(both), -1)


def p_values(chains: Chains, rng: np.random.Generator) -> FloatArray:
    """Return how often a parameter looks as telling by chance as it does, [d]: the larger share of two tests.

    What is counted is how much of what the other parameters leave unexplained goes with it: the score test of its
    variance, summed over the chains. One test shuffles its values among the trials, the other what is unexplained:
    where a search has chosen the values of parameters together, neither alone is honest.
    """
    shuffles = np.stack([np.arange(chains.n), *(rng.permutation(chains.n) for _ in range(N_SHUFFLES))])
    tests = [_telling(chains, i, shuffles) for i in range(chains.d)]
    return np.array([max(_beyond(telling) for telling in both) for both in tests])


def _beyond(telling: FloatArray) -> float:
    return float((1 + (telling[1:] >= telling[0]).sum()) / len(telling))


def _telling(chains: Chains, i: int, shuffles: IntArray) -> tuple[FloatArray, FloatArray]:
    """How telling a parameter is by the order of its values, and of what is unexplained; [len(shuffles)] each."""
    basis, m = chains.bases[i], chains.bases[i].n_paired
    variances = basis.variances.mean(axis=0)
    covariance, others = chains.without(i)
    factor = np.linalg.cholesky(covariance)
    unexplained = np.linalg.solve(factor, np.broadcast_to(chains.y[:, np.newaxis], (chains.c, chains.n, 1)))
    unexplained /= np.linalg.norm(unexplained, axis=1, keepdims=True)
    left = np.linalg.solve(factor.transpose(0, 2, 1), unexplained)[:, :, 0]
    x = basis.at_trials[shuffles]
    paired = np.einsum("ca,cb,cab->ab", left, left, others)
    by_values = ((left @ x) ** 2).sum(axis=1) @ variances + (x[..., :m] * (paired @ x[..., :m])).sum(
        axis=1
    ) @ variances[:m]
    kernels = chains.own[i].mean(axis=0) + chains.paired[i].mean(axis=0) * others
    white = np.linalg.solve(factor, np.linalg.solve(factor, kernels).transpose(0, 2, 1))
    shuffled = unexplained[:, shuffles, 0]
    by_trials = (shuffled * (shuffled @ white)).sum(axis=(0, 2))
    return np.asarray(by_values, dtype=np.float64), np.asarray(by_trials, dtype=np.float64)
