"""What two or three objectives can still gain, cut into boxes: the part of the space that no known scores dominate."""

import math
from dataclasses import dataclass

import numpy as np

from orchestrator.search.encoding import FloatArray
from orchestrator.search.pareto import front_of


def reference(scores: FloatArray) -> FloatArray:
    """Return the point that all gains are measured from, [k]: a little worse than the worst of `scores` [n, k]."""
    worst = scores.max(axis=0)
    return np.asarray(np.nextafter(np.maximum(1.1 * worst, 0.9 * worst), np.inf), dtype=np.float64)


def boxes(scores: FloatArray, limit: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the lower and upper bounds, [m, k], of boxes that fill what `scores` [n, k] leave open below `limit` [k].

    Lower is better; k is 2 or 3. The boxes share no volume, and there are at most 2 n + 1 of them. In the plane, what a
    front leaves open is a staircase of upright strips. With three objectives the third one is swept from its best value
    to the limit, as in HV3D (Beume et al. 2009): each member of the front lowers a few strips of the first two, and
    where it does, the boxes above the old strips end and new ones begin.
    """
    inside = scores[(scores < limit).all(axis=1)]
    front = inside[front_of(inside.tolist())]
    if scores.shape[1] == 2:
        front = np.column_stack([front, np.full(len(front), -math.inf)])
        limit = np.array([*limit, math.inf])
    found = np.array(_sweep(front[np.lexsort(front.T)], limit)).reshape(-1, 2, 3)
    found = found[(found[:, 0] < found[:, 1]).all(axis=1), :, : scores.shape[1]]
    return found[:, 0], found[:, 1]


@dataclass(frozen=True, slots=True)
class Strip:
    """What is open between two values of the first objective, below one of the second, from one of the third on."""

    left: float
    right: float
    top: float
    since: float

    def until(self, third: float) -> list[list[float]]:
        """Return the lower and upper bounds of the box of this strip."""
        return [[self.left, -math.inf, self.since], [self.right, self.top, third]]


def _sweep(front: FloatArray, limit: FloatArray) -> list[list[list[float]]]:
    """Return boxes, some of them empty, of a front [n, 3] in the order of its third objective."""
    strips = [Strip(-math.inf, float(limit[0]), float(limit[1]), -math.inf)]
    found = []
    for first, second, third in front.tolist():
        lowered = [strip for strip in strips if strip.right > first and strip.top > second]
        if not lowered:
            continue
        found += [strip.until(third) for strip in lowered]
        kept = [strip for strip in strips if strip.right <= first or strip.top <= second]
        left = [Strip(s.left, first, s.top, third) for s in lowered if s.left < first]
        strips = [*kept, *left, Strip(first, max(s.right for s in lowered), second, third)]
    return found + [strip.until(float(limit[2])) for strip in strips]
