"""Functions of one parameter that any function of it is a sum of: cosines of a number's place in its range, contrasts of names.

Notation: n trials, m functions, q places on the parameter, L lengths.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from orchestrator.search.encoding import Feature

FloatArray: TypeAlias = npt.NDArray[np.float64]

LENGTHS = np.array([0.15, 0.4, 1.0, 2.5])
"""How fast the variances of functions fall with their number k: ``(1 + (length * k)^2)^-2``."""

N_COSINES = 12
N_PAIRED = 4
"""Functions of a number, alone and together with another parameter."""

MOST_PAIRED = 8
"""Names up to which a list takes part in pairs."""

MOST_NAMES = 16
"""Names up to which each counts by itself, tried or not; of more, those that were not tried count as one."""

N_PLACES = 64
"""Places on a range without steps."""

N_QUANTILES = 512
"""Draws, evenly spread, by which the values of a range with steps get their weights."""


@dataclass(frozen=True, kw_only=True)
class Basis:
    """Functions of one parameter, orthonormal and of mean zero over what it can be.

    Attributes:
        at_trials: Their values, [n, m]; zero where a trial has no value of the parameter.
        at_places: Their values at q places all over the parameter, [q, m].
        places: The features of these places, [q]; of names beyond those listed, NaN.
        weights: How much of the parameter each place stands for, [q], adding up to 1.
        n_paired: How many, from the first, take part in pairs.
        is_category: Whether all are equally likely to matter; else the first are the smoothest and likeliest.
    """

    at_trials: FloatArray
    at_places: FloatArray
    places: FloatArray
    weights: FloatArray
    n_paired: int
    is_category: bool

    @classmethod
    def of(cls, feature: Feature, x: FloatArray) -> "Basis":
        """Return the functions of a parameter that has more than one value; `x` [n] are its features, NaN for none."""
        if feature.grid is None:
            places = (np.arange(N_PLACES) + 0.5) / N_PLACES
            weights = np.full(N_PLACES, 1 / N_PLACES)
            at_places, at_trials = cosines(places, N_COSINES), cosines(x, N_COSINES)
        elif feature.is_category:
            places, weights = _names(feature, x)
            at_places = orthonormal(np.eye(len(places))[:, 1:], weights)
            at_trials = _nearest(places, at_places, x)
        else:
            places, weights = feature.grid, _weights(feature)
            at_places = orthonormal(cosines(places, min(N_COSINES, len(places) - 1)), weights)
            at_trials = _nearest(places, at_places, x)
        m = at_places.shape[1]
        return cls(
            at_trials=np.where(np.isnan(x)[:, np.newaxis], 0.0, at_trials),
            at_places=at_places,
            places=places,
            weights=weights,
            n_paired=min(N_PAIRED, m) if not feature.is_category else m * (m < MOST_PAIRED),
            is_category=feature.is_category,
        )

    @cached_property
    def variances(self) -> FloatArray:
        """The prior variances of the functions' coefficients by length, [L, m]; each row adds up to 1."""
        numbers = np.arange(1, self.at_trials.shape[1] + 1)
        steepness = np.zeros_like(LENGTHS) if self.is_category else LENGTHS
        falling = (1 + np.outer(steepness, numbers) ** 2) ** -2.0
        return np.asarray(falling / falling.sum(axis=1, keepdims=True), dtype=np.float64)

    def kernels(self, m: int) -> FloatArray:
        """Return the kernels of the first m functions by length, [L, n, n]."""
        x = self.at_trials[:, :m]
        return np.stack([(x * variances) @ x.T for variances in self.variances[:, :m]])


def cosines(u: FloatArray, m: int) -> FloatArray:
    """Return cosines of places in [0, 1], orthonormal there: [n] -> [n, m]."""
    return np.asarray(np.sqrt(2) * np.cos(np.pi * np.outer(u, np.arange(1, m + 1))), dtype=np.float64)


def orthonormal(columns: FloatArray, weights: FloatArray) -> FloatArray:
    """Return functions at q places, [q, m], made orthonormal and of mean zero under the places' weights, [q]."""
    root = np.sqrt(weights)[:, np.newaxis]
    q = np.linalg.qr(root * np.hstack([np.ones((len(root), 1)), columns]))[0]
    return np.asarray(q[:, 1:] / root, dtype=np.float64)


def _weights(feature: Feature) -> FloatArray:
    """How likely each value of a finite parameter is to be drawn, [q]; a little at least."""
    assert feature.grid is not None
    drawn = feature.axis.ppf((np.arange(N_QUANTILES) + 0.5) / N_QUANTILES)
    features = np.array([feature.encode(value) for value in drawn])
    at = np.searchsorted((feature.grid[1:] + feature.grid[:-1]) / 2, features)
    counts = np.bincount(at, minlength=len(feature.grid)) + 1e-3
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def _names(feature: Feature, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The names of a list and their weights, [q] each; of a long one those that were tried, and one for the rest."""
    assert feature.grid is not None
    weights = _weights(feature)
    tried = np.isin(feature.grid, x)
    if len(weights) <= MOST_NAMES or tried.all():
        return feature.grid, weights
    return np.append(feature.grid[tried], np.nan), np.append(weights[tried], weights[~tried].sum())


def _nearest(places: FloatArray, functions: FloatArray, x: FloatArray) -> FloatArray:
    """The functions at the places nearest to features, [n, m]."""
    gaps = np.abs(places - np.nan_to_num(x)[:, np.newaxis])
    return np.asarray(functions[np.nanargmin(gaps, axis=1)], dtype=np.float64)
