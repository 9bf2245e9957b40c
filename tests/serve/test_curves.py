import math
from itertools import pairwise

import pytest

from orchestrator.serve.curves import MOST_POINTS, GrowingCurve


class Ledger:
    """What a reader gives of one trial."""

    def __init__(self):
        self.values = []

    def points(self, _trial, *, since=1):
        return [(n, None, value) for n, value in enumerate(self.values, 1) if n >= since]


@pytest.mark.parametrize("n", [1, 2, 95, 96, 97, 500, 5000])
@pytest.mark.parametrize("at_once", [1, 7, 10_000])
def test_a_curve_has_few_points_evenly_and_always_the_last(n, at_once):
    """However it grew: as many points as a plot can show, the first and the last among them, none twice."""
    ledger, curve = Ledger(), GrowingCurve(0)
    while len(ledger.values) < n:
        ledger.values += [float(len(ledger.values))] * min(at_once, n - len(ledger.values))
        assert curve.read(ledger)
    positions = [point[0] for point in curve.points]
    assert positions[0] == 1
    assert positions[-1] == n
    assert len(positions) <= MOST_POINTS
    assert len(positions) >= min(n, MOST_POINTS // 2)
    gaps = {b - a for a, b in pairwise(positions[:-1])}
    assert len(gaps) <= 1
    assert not curve.read(ledger)


def test_what_was_taken_back_is_gone():
    """An attempt that begins anew begins its curve anew; so does a program that replaces its last values."""
    ledger, curve = Ledger(), GrowingCurve(0)
    ledger.values = [1.0, 2.0, math.nan]
    assert curve.read(ledger)
    assert not curve.read(ledger)
    ledger.values = [5.0]
    assert curve.read(ledger)
    assert [point[2] for point in curve.points] == [5.0]
    ledger.values = [6.0, 7.0]
    assert curve.read(ledger)
    assert [point[2] for point in curve.points] == [6.0, 7.0]
    ledger.values = []
    assert curve.read(ledger)
    assert curve.points == []
