"""Successive halving on rungs: W&B's ``hyperband`` to the letter, and ``asha``.

Notation: h is a trial's scores, lower is better, h[b-1] its value at rung b; eta > 1 is the ratio between rungs.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.spec.model import EarlyTerminate
from orchestrator.stopping.protocol import Curve, Stop
from orchestrator.stopping.wording import Show, share

MAX_BANDS = 100
"""W&B enumerates this many bands from `min_iter` upwards."""


def bands(early_terminate: EarlyTerminate) -> list[int]:
    """Return the rungs in reports, ascending: ``int(min_iter * eta**i)``, or `max_iter` divided by eta `s` times.

    As in W&B, `max_iter` wins when both are given, `max_iter` itself is never a rung, and rungs may repeat where eta
    is close to 1. Empty for rules without rungs, and where `s` divisions leave no whole report.
    """
    if early_terminate.max_iter is not None and early_terminate.s is not None:
        return _bands_downwards(early_terminate.max_iter, early_terminate.s, early_terminate.eta)
    if early_terminate.min_iter is not None and early_terminate.type in ("hyperband", "asha"):
        return _bands_upwards(early_terminate.min_iter, early_terminate.eta)
    return []


def _bands_downwards(max_iter: int, s: int, eta: float) -> list[int]:
    found = []
    band = float(max_iter)
    for _ in range(s):
        band /= eta
        if band < 1:
            break
        found.append(int(band))
    return sorted(found)


def _bands_upwards(min_iter: int, eta: float) -> list[int]:
    found = []
    for power in range(MAX_BANDS):
        try:
            found.append(int(min_iter * eta**power))
        except OverflowError:  # an eta in the thousands: no trial reports that often
            break
    return found


def n_kept(n: int, eta: float, *, at_most: bool) -> int:
    """Return how many of n trials at a rung go on; `at_most` as `Rungs` has it."""
    return max(int(n / eta), 1) if at_most else int(n * (1 / eta)) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rungs:
    """A rule that judges each running trial at the highest rung it has reached.

    Attributes:
        bands: The rungs, ascending, at least one.
        eta: One in `eta` survives a rung.
        strict: Judge the value at the rung itself; otherwise the best value so far.
        at_most: Whether no more than 1/eta survive (``asha``: floor(n/eta), at least one). W&B's ``hyperband`` keeps
            floor(n/eta) + 1.
    """

    bands: Sequence[int]
    eta: float
    strict: bool
    at_most: bool
    show: Show

    def decide(self, curves: Mapping[int, Curve], changed: Sequence[int]) -> list[Stop]:  # noqa: ARG002 - a rival's report can end a trial that reported nothing
        """Judge every running trial, as a rival that reaches a rung can push a trial out that passed it long ago."""
        thresholds: dict[int, tuple[float, int]] = {}
        stops = []
        for trial, curve in curves.items():
            rung = self._highest_rung(curve) if curve.running else None
            if rung is None:
                continue
            if rung not in thresholds:
                thresholds[rung] = self._threshold(rung, curves)
            threshold, n_rivals = thresholds[rung]
            value = curve.scores[rung - 1] if self.strict else min(curve.scores)
            if value > threshold:
                stops.append(Stop(trial=trial, reason=self._reason(rung, value, threshold, n_rivals)))
        return stops

    def _highest_rung(self, curve: Curve) -> int | None:
        position = bisect_right(self.bands, len(curve.scores))
        return self.bands[position - 1] if position else None

    def _threshold(self, rung: int, curves: Mapping[int, Curve]) -> tuple[float, int]:
        """Return the worst score that survives `rung`, and how many trials have reached it (at least one)."""
        values = sorted(curve.scores[rung - 1] for curve in curves.values() if len(curve.scores) >= rung)
        kept = n_kept(len(values), self.eta, at_most=self.at_most)
        return values[min(kept, len(values)) - 1], len(values)

    def _reason(self, rung: int, value: float, threshold: float, n_rivals: int) -> str:
        shown, cut = self.show(value, threshold)
        return f"rung {rung}: {shown} is not in the {share(self.eta)} of {n_rivals}, cut {cut}"
