"""Scores as a model learns from them."""

import numpy as np

from orchestrator.search.encoding import FloatArray

HUGE = 1e150
"""Scores are cut off here before anything is computed from them."""

MAX_GAP = 10.0
"""Distance from the best score, in units of the median's distance, beyond which scores count as equally bad."""


def warp(scores: FloatArray) -> FloatArray:
    """Return scores on a scale that shows differences among the best and is not spoilt by the worst: [n] -> [n].

    ``log(1 + min((s - best) / (median - best), MAX_GAP))``, then zero mean and unit variance: a diverged trial with a
    loss of 1e9 is no further from the others than a bad one.
    """
    gaps = np.clip(scores, -HUGE, HUGE) - np.clip(scores.min(), -HUGE, HUGE)
    scale = float(np.median(gaps)) or float(gaps.mean())
    if scale == 0:
        return np.zeros_like(scores)
    # Cut off before dividing: the smallest floats would overflow.
    warped = np.log1p(np.minimum(gaps, MAX_GAP * scale) / scale)
    return np.asarray((warped - warped.mean()) / warped.std(), dtype=np.float64)
