"""What is said of the end, held against sweeps whose end is known: replayed in virtual time."""

import heapq
import random

import pytest

from orchestrator.watch.forecast import time_left

SHAPES = {
    "steady": lambda rng: rng.gauss(100, 10),
    "spread": lambda rng: rng.lognormvariate(4.5, 0.8),
    "early stopping": lambda rng: rng.choice([8, 20, 20, 60, 180]) * rng.uniform(0.9, 1.1),
    "failures": lambda rng: 2.0 if rng.random() < 0.3 else rng.gauss(120, 20),
}
SHARES = (0.12, 0.25, 0.5, 0.75, 0.9)


def replayed(shape, n, slots, seed):
    """Yield, at shares of a sweep's trials, what is said of the time left, the moment, and that of the end."""
    rng = random.Random(seed)
    lasts = [max(1.0, SHAPES[shape](rng)) for _ in range(n)]
    free, spans = [0.0] * slots, []
    for took in lasts:
        began = heapq.heappop(free)
        heapq.heappush(free, began + took)
        spans.append((began, began + took))
    over = max(end for _, end in spans)
    for share in SHARES:
        now = sorted(end for _, end in spans)[max(1, round(share * n)) - 1]
        ended = [end - began for began, end in sorted(spans, key=lambda span: span[1]) if end <= now]
        running = [now - began for began, end in spans if began <= now < end]
        waiting = sum(began > now for began, _ in spans)
        yield time_left(ended, running, waiting, slots, seed=seed), now, over


@pytest.mark.parametrize("shape", SHAPES)
def test_the_interval_holds_the_end_eight_times_in_ten(shape):
    """Also where a rule ends most trials early; and after a tenth of the sweep nothing is off by a factor of 3."""
    held, n, off = 0, 0, []
    for seed in range(24):
        for slots in (1, 4, 8):
            for said, now, over in replayed(shape, 100, slots, seed):
                n += 1
                held += said.low_s <= over - now <= said.high_s
                off.append((now + said.typical_s) / over)
    assert held / n >= 0.8
    assert all(1 / 3 < ratio < 3 for ratio in off), (min(off), max(off))


def test_nothing_is_said_before_a_trial_has_ended_or_where_none_can_run():
    """A number would be a guess."""
    assert time_left([], [10.0], 5, 2) is None
    assert time_left([10.0], [], 5, 0) is None


def test_a_sweep_that_is_over_has_no_time_left():
    """And one of many trials is as quick to ask."""
    said = time_left([10.0], [], 0, 2)
    assert (said.low_s, said.typical_s, said.high_s) == (0.0, 0.0, 0.0)
    many = time_left([10.0] * 100, [1.0] * 8, 100_000, 8)
    assert many.typical_s == pytest.approx(125_000, rel=0.1)
