"""A running trial's curve, read on from where it was, in as many points as a plot can show."""

from orchestrator.ledger.reader import CurvePoint, LedgerReader

MOST_POINTS = 96
"""Beyond, every second point is dropped, again and again; the last one stays."""


class GrowingCurve:
    """The first objective's values of one trial; an attempt that begins anew begins its curve anew."""

    def __init__(self, trial: int) -> None:
        self.points: list[CurvePoint] = []
        self._trial = trial
        self._stride = 1
        self._last: CurvePoint | None = None

    def read(self, reader: LedgerReader) -> bool:
        """Read what is new; return whether anything is.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        before = self._last
        new = reader.points(self._trial, since=1 if before is None else before[0])
        if before is not None and (not new or not _same(new[0], before)):  # what it showed was taken back
            self.points, self._stride, self._last = [], 1, None
            new = reader.points(self._trial)
        elif before is not None:
            new = new[1:]
        for point in new:
            self._add(point)
        return bool(new) or self._last != before

    def _add(self, point: CurvePoint) -> None:
        if self.points and (self.points[-1][0] - 1) % self._stride:
            self.points.pop()  # it was there as the last one
        self.points.append(point)
        self._last = point
        if len(self.points) > MOST_POINTS:
            self._stride *= 2
            self.points = [each for each in self.points if (each[0] - 1) % self._stride == 0 or each is point]


def _same(one: CurvePoint, other: CurvePoint) -> bool:
    """Whether two points are one; values that are no numbers are equal here."""
    return one[:2] == other[:2] and (one[2] == other[2] or (one[2] != one[2] and other[2] != other[2]))
