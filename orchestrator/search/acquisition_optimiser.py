"""Where is an acquisition function largest? Gradient steps in continuous features, moves to neighbours in others.

All neighbours of all points are evaluated at once, which is ten times faster with twenty features than one at a time.
"""

from collections.abc import Mapping

import numpy as np
from scipy.optimize import minimize

from orchestrator.search.acquisition import Acquisition
from orchestrator.search.encoding import Encoding, FloatArray
from orchestrator.search.kernel import BoolArray

N_SPREAD = 512
"""Points of a scrambled Sobol sequence among which the searches start (a power of 2)."""

N_NEAR = 256
"""Points near the best known ones among which the searches start."""

N_LEADERS = 8
"""Known points counted as the best."""

N_STARTS = 6
"""Points from which a search starts."""

N_ROUNDS = 8
"""Rounds of gradient steps and moves to neighbours; most searches end before."""

MAX_STEPS = 16
"""A grid of at most this many values is tried whole; of a longer one, values 1, 2, 4, ... steps away."""

MAX_ITERATIONS = 200
"""Gradient steps of one search in a round."""

TOLERANCE = 1e-2
"""Largest component of the gradient, by length scales, at which a search ends."""


class Box:
    """The box of the features: what is continuous, what has which grid, and what is a category."""

    def __init__(self, encoding: Encoding) -> None:
        features = encoding.features
        self.dim = len(features)
        self.is_categorical = np.array([feature.is_category for feature in features], dtype=bool)
        self.grids: Mapping[int, FloatArray] = {i: f.grid for i, f in enumerate(features) if f.grid is not None}
        self.continuous = np.array([i for i in range(self.dim) if i not in self.grids], dtype=int)
        sizes = [len(grid) for grid in self.grids.values()]
        self.n_points = int(np.prod(sizes, dtype=object)) if encoding.is_finite else None

    def spread(self, n: int, rng: np.random.RandomState) -> FloatArray:
        """Return `n` points, a power of 2, from a scrambled Sobol sequence, all values of a grid equally likely."""
        from scipy.stats import qmc

        points = qmc.Sobol(self.dim, scramble=True, rng=rng.randint(2**31)).random_base2(n.bit_length() - 1)
        for i, grid in self.grids.items():
            points[:, i] = grid[np.minimum((points[:, i] * len(grid)).astype(int), len(grid) - 1)]
        return np.asarray(points, dtype=np.float64)

    def near(self, leaders: FloatArray, n: int, rng: np.random.RandomState) -> FloatArray:
        """Return `n` points that differ from a leader in a few features, by small steps where there is an order."""
        points = leaders[rng.randint(len(leaders), size=n)].copy()
        moves = rng.rand(n, self.dim) < max(0.2, 1.5 / self.dim)
        others = self.spread(1 << (n - 1).bit_length(), rng)[:n]
        step = points + rng.normal(scale=rng.choice([0.02, 0.1], size=(n, 1)), size=(n, self.dim))
        near = np.where(self.is_categorical, others, np.clip(step, 0.0, 1.0))
        points[moves] = near[moves]
        for i, grid in self.grids.items():
            points[:, i] = grid[np.abs(points[:, i, np.newaxis] - grid).argmin(axis=1)]
        return np.asarray(points, dtype=np.float64)

    def every_point(self) -> FloatArray:
        """Return all points of a finite box, [n_points, d]."""
        mesh = np.meshgrid(*self.grids.values(), indexing="ij")
        return np.asarray(np.stack([axis.ravel() for axis in mesh], axis=1), dtype=np.float64)

    def neighbours(self, x: FloatArray) -> FloatArray:
        """Return points that differ from `x` in one discrete feature, [n, d]."""
        rows = []
        for i, grid in self.grids.items():
            values = self._reachable(i, grid, x[i])
            others = np.repeat(x[np.newaxis], len(values), axis=0)
            others[:, i] = values
            rows.append(others)
        return np.vstack([np.empty((0, self.dim)), *rows])

    def _reachable(self, i: int, grid: FloatArray, value: float) -> FloatArray:
        if self.is_categorical[i] or len(grid) <= MAX_STEPS:
            return np.asarray(grid[grid != value], dtype=np.float64)
        at = int(np.abs(grid - value).argmin())
        steps = [at + sign * 2**k for k in range(len(grid).bit_length()) for sign in (-1, 1)]
        return grid[[step for step in steps if 0 <= step < len(grid)]]


def maximise(acquisition: Acquisition, box: Box, leaders: FloatArray, rng: np.random.RandomState) -> FloatArray:
    """Return points where `acquisition` is large, [n, d], best first; `leaders` [m, d] are the best known points."""
    pool = np.vstack([leaders, box.spread(N_SPREAD, rng), box.near(leaders, N_NEAR, rng)])
    values = evaluate(acquisition, pool)
    chosen = np.argsort(-values, kind="stable")[:N_STARTS]
    points, heights = pool[chosen], values[chosen]
    for _ in range(N_ROUNDS):
        points, heights = _climb(acquisition, box, points, heights)
        points, heights, stepped = _step(acquisition, box, points, heights)
        if not stepped.any():
            break
    pool, values = np.vstack([points, pool]), np.concatenate([heights, values])
    return pool[np.argsort(-values, kind="stable")]


def evaluate(acquisition: Acquisition, points: FloatArray) -> FloatArray:
    """Return the acquisition at `points`, [n, d] -> [n]; in blocks, since memory grows with their number."""
    blocks = np.array_split(points, max(1, len(points) // 256))
    return np.concatenate([acquisition.values(block) for block in blocks])


def _climb(
    acquisition: Acquisition, box: Box, points: FloatArray, heights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Follow the gradient in the continuous features, each point by itself; one that gets no higher stays."""
    if not len(box.continuous):
        return points, heights
    tops = [_top(acquisition, box, point) for point in points]
    reached = np.array([height for _, height in tops])
    is_higher = reached > heights
    points = np.where(is_higher[:, np.newaxis], [top for top, _ in tops], points)
    return points, np.where(is_higher, reached, heights)


def _top(acquisition: Acquisition, box: Box, start: FloatArray) -> tuple[FloatArray, float]:
    """Return where the gradient leads from a point in its continuous features, and the acquisition there."""
    # In units of its length scale each feature changes the acquisition alike.
    scales = acquisition.length_scales[box.continuous]
    point = start[np.newaxis].copy()

    def descent(scaled: FloatArray) -> tuple[float, FloatArray]:
        point[0, box.continuous] = scaled * scales
        value, gradient = acquisition.slopes(point)
        return -float(value[0]), -gradient[0, box.continuous] * scales

    found = minimize(
        descent,
        start[box.continuous] / scales,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1 / scale) for scale in scales],
        options={"gtol": TOLERANCE, "maxiter": MAX_ITERATIONS},
    )
    top = start.copy()
    top[box.continuous] = np.clip(found.x * scales, 0.0, 1.0)
    return top, -float(found.fun)


def _step(
    acquisition: Acquisition, box: Box, points: FloatArray, heights: FloatArray
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Move each point to its best neighbour, if that is better."""
    around = [box.neighbours(point) for point in points]
    stepped = np.zeros(len(points), dtype=bool)
    if not len(around[0]):
        return points, heights, stepped
    values = np.split(evaluate(acquisition, np.vstack(around)), np.cumsum([len(a) for a in around])[:-1])
    points, heights = points.copy(), heights.copy()
    for i, (candidates, found) in enumerate(zip(around, values, strict=True)):
        best = int(np.argmax(found))
        if found[best] > heights[i]:
            points[i], heights[i], stepped[i] = candidates[best], found[best], True
    return points, heights, stepped
