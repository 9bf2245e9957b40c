"""What a sweep cost: who ran when on which GPU or slot, how long slots had nothing to do, hours in all."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.ledger.records import AttemptRecord, TrialState
from orchestrator.reporting.facts import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One attempt on a lane, in Unix seconds; it still runs when `ended` is the moment of reading."""

    trial: int
    attempt: int
    began: float
    ended: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A GPU of a host, or a slot of one without GPUs, with what ran there in order."""

    name: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a sweep occupied.

    Attributes:
        wall_s: Seconds in which at least one trial ran.
        trial_s: Seconds of all attempts together.
        gpu_s: The same times the GPUs each had; None for a sweep without GPUs.
        busy: Share of `wall_s` in which the lanes were occupied; None while nothing has run.
    """

    lanes: tuple[Lane, ...]
    wall_s: float
    trial_s: float
    gpu_s: float | None
    busy: float | None


def usage_of(facts: Facts) -> Usage:
    """Return what the attempts of a sweep occupied."""
    began = [(attempt, attempt.started) for attempt in facts.attempts if attempt.started is not None]
    timed = [(attempt, start, max(start, _end_of(attempt, facts))) for attempt, start in began]
    lanes = _lanes(sorted(timed, key=lambda item: item[1]))
    share = min(1.0, facts.results.spec.options.resources.gpu or 1.0)
    trial_s = sum(end - start for _, start, end in timed)
    gpu_s = sum((end - start) * len(attempt.gpu_ids) * share for attempt, start, end in timed)
    wall_s = _covered_s([(start, end) for _, start, end in timed])
    lane_s = sum(_covered_s([(bar.began, bar.ended) for bar in lane.bars]) for lane in lanes)
    return Usage(
        lanes=lanes,
        wall_s=wall_s,
        trial_s=trial_s,
        gpu_s=gpu_s if any(attempt.gpu_ids for attempt, _, _ in timed) else None,
        busy=lane_s / (wall_s * len(lanes)) if wall_s else None,
    )


def _end_of(attempt: AttemptRecord, facts: Facts) -> float:
    """Until when an attempt ran; one that nobody saw end ran until its trial's last sign of life."""
    if attempt.ended is not None:
        return attempt.ended
    trial = facts.results.by_number.get(attempt.trial)
    live = (
        trial is not None
        and facts.holder is not None
        and trial.state is TrialState.RUNNING
        and trial.attempt == attempt.attempt
    )
    return facts.now if live else (attempt.started or 0.0)


def _lanes(timed: Sequence[tuple[AttemptRecord, float, float]]) -> tuple[Lane, ...]:
    """By GPU where there are GPUs; else as many slots per host as ran at once."""
    bars: dict[str, list[Bar]] = {}
    free: dict[str, list[int]] = {}
    busy: dict[str, list[tuple[float, int]]] = {}
    for attempt, start, end in timed:
        host = attempt.host or "?"
        names = [f"{host} GPU {gpu}" for gpu in attempt.gpu_ids] or [_slot(host, start, end, free, busy)]
        for name in names:
            bar = Bar(trial=attempt.trial, attempt=attempt.attempt, began=start, ended=end)
            bars.setdefault(name, []).append(bar)
    return tuple(Lane(name=name, bars=tuple(bars[name])) for name in sorted(bars, key=_natural))


def _slot(
    host: str, start: float, end: float, free: dict[str, list[int]], busy: dict[str, list[tuple[float, int]]]
) -> str:
    """The lowest slot of a host that is free at `start`."""
    slots, running = free.setdefault(host, []), busy.setdefault(host, [])
    while running and running[0][0] <= start:
        heapq.heappush(slots, heapq.heappop(running)[1])
    slot = heapq.heappop(slots) if slots else len(running)
    heapq.heappush(running, (end, slot))
    return f"{host} slot {slot}"


def _covered_s(spans: Sequence[tuple[float, float]]) -> float:
    """Seconds that at least one span covers."""
    covered, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return covered


def _natural(name: str) -> tuple[str, int]:
    stem, _, number = name.rpartition(" ")
    return (stem, int(number)) if number.isdigit() else (name, 0)
