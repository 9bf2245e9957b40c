"""What a sweep will take before it is paid for: hours, GPU hours, money, disk; by the pace of trials that were tried."""

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.execution.placement import Node, bundle_of
from orchestrator.reporting.pace import Pace
from orchestrator.reporting.wording import duration, number
from orchestrator.spec.model import SweepSpec
from orchestrator.watch.expectation import Expectation, ended_early
from orchestrator.watch.forecast import TimeLeft, time_left

LONG_S = 60 * 86400.0
"""A sweep that takes longer is hardly meant."""

LARGE = 1 << 40
"""Bytes of a sweep that are hardly meant."""

YEAR_S = 365 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlay:
    """What a sweep is expected to take.

    Attributes:
        pace: Of the trials that were tried.
        n_trials: How many there will be; None for no end.
        slots: Trials at once; None where that is not known.
        takes: Seconds until its end; None without an end, or without slots.
        work: Seconds of all its trials, one after the other; None without an end.
        gpus: GPUs that a trial takes; None where that is not known.
        price: Of a GPU hour; None where nobody said.
        budget_h: GPU hours after which no trial begins; None for no limit.
        free: Bytes that are free where it is kept; None where that is not known.
    """

    pace: Pace
    n_trials: int | None
    slots: int | None
    takes: TimeLeft | None
    work: TimeLeft | None
    gpus: float | None
    price: float | None
    budget_h: float | None
    free: int | None

    @property
    def gpu_hours(self) -> tuple[float, float, float] | None:
        """Most likely, at least and at most; None without an end or a GPU."""
        if self.work is None or not self.gpus:
            return None
        typical, low, high = (
            seconds / 3600 * self.gpus for seconds in (self.work.typical_s, self.work.low_s, self.work.high_s)
        )
        return typical, low, high

    @property
    def size(self) -> int | None:
        """Bytes that all trials will write; None without an end."""
        return None if self.n_trials is None else self.n_trials * self.pace.size


def machine(num_cpus: int | None = None, num_gpus: int | None = None) -> Node:
    """Return this machine as a node of its own Ray would be, without starting one."""
    total = {"CPU": float(num_cpus or len(os.sched_getaffinity(0)))}
    total["GPU"] = float(_gpus_here() if num_gpus is None else num_gpus)
    total["memory"] = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return Node(node_id="here", host="here", total=total, free=total)


def _gpus_here() -> int:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([each for each in visible.split(",") if each.strip() not in {"", "-1", "NoDevFiles"}])
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


def outlay(
    spec: SweepSpec,
    pace: Pace,
    *,
    n_trials: int | None,
    node: Node,
    runs: Path,
    slots: int | None = None,
    price: float | None = None,
    elsewhere: bool = False,
) -> Outlay:
    """Return what a sweep is expected to take.

    Where a rule ends trials early, the most likely and the least are with its help, the most is without.

    Args:
        spec: What it runs.
        pace: Of tried trials.
        n_trials: How many trials there will be; None for no end.
        node: The machine that it runs on.
        runs: Where it is kept.
        slots: Trials at once; None for as many as fit.
        price: Of a GPU hour; None for the one in the spec's budget.
        elsewhere: Whether it runs on a cluster, of which `node` says nothing.
    """
    bundle = bundle_of(spec.options.resources, [node])
    fits = None if elsewhere else bundle.fits(node.total)
    at_once = min((n for n in (slots or fits, spec.options.concurrency) if n is not None), default=None) or None
    if at_once and n_trials:
        at_once = min(at_once, n_trials)
    expected = Expectation.of(spec, pace)
    early = ended_early(pace.took_s, expected.n_values, expected.early)
    is_unknown = spec.options.resources.gpu is None and (elsewhere or (slots is not None and not bundle.gpu))
    return Outlay(
        pace=pace,
        n_trials=n_trials,
        slots=at_once,
        takes=_left(pace, early, n_trials, at_once),
        work=_left(pace, early, n_trials, 1),
        gpus=None if is_unknown else bundle.gpu,
        price=spec.options.budget.price if price is None else price,
        budget_h=spec.options.budget.hours,
        free=_free(runs),
    )


def _left(pace: Pace, early: Sequence[float], n_trials: int | None, at_once: int | None) -> TimeLeft | None:
    if n_trials is None or not at_once:
        return None
    n_seen = len(pace.took_s)
    helped = time_left(early, [], n_trials, at_once, n_seen=n_seen)
    whole = time_left(pace.took_s, [], n_trials, at_once, n_seen=n_seen)
    assert helped is not None
    assert whole is not None
    return TimeLeft(typical_s=helped.typical_s, low_s=helped.low_s, high_s=max(helped.high_s, whole.high_s))


def _free(runs: Path) -> int | None:
    place = next((path for path in (runs.absolute(), *runs.absolute().parents) if path.is_dir()), None)
    try:
        return None if place is None else shutil.disk_usage(place).free
    except OSError:
        return None


def rows(found: Outlay | None, spec_text: str) -> list[tuple[str, str]]:
    """Return what `plan` says, as names and texts; of a program that was not tried, how to find it out."""
    if found is None:
        return [("takes", f"not known: `sweep try {spec_text}` finds out how long a trial takes")]
    return [
        ("pace", _pace(found)),
        ("takes", _takes(found)),
        ("GPU hours", _gpu_hours(found)),
        ("disk", _disk(found)),
    ]


def line(found: Outlay) -> str:
    """Return what `run` says, in one line."""
    parts = [_takes(found), _gpu_line(found), "" if not found.size else f"{size_text(found.size)} of disk"]
    return "; ".join(part for part in parts if part)


def doubts(found: Outlay) -> list[str]:
    """Return what can hardly be meant, with what to do about it."""
    said = []
    if found.takes is not None and found.takes.typical_s > LONG_S:
        said.append(
            f"at the pace of `sweep try` this sweep takes {_span(found.takes.typical_s)}: fewer trials (run_cap), more at"
            " once, early_terminate, or shorter trials?"
        )
    elif found.takes is None and found.work is not None and found.work.typical_s > YEAR_S:
        said.append(
            f"at the pace of `sweep try` the trials take {_span(found.work.typical_s)} together: is that meant?"
        )
    if found.size and found.free is not None and found.size > found.free:
        said.append(
            f"its trials will write about {size_text(found.size)}, and {size_text(found.free)} are free:"
            " keep fewer checkpoints, or choose another disk with --runs-dir"
        )
    elif found.size and found.size > LARGE:
        said.append(f"its trials will write about {size_text(found.size)}: are all these checkpoints meant?")
    return said


def as_data(found: Outlay | None) -> dict[str, Any] | None:
    """Return it as JSON can carry it: seconds, bytes, GPU hours and money."""
    if found is None:
        return None

    def span(left: TimeLeft | None) -> Mapping[str, float] | None:
        return None if left is None else asdict(left)

    hours, price = found.gpu_hours, found.price
    return {
        "pace": asdict(found.pace),
        "slots": found.slots,
        "takes": span(found.takes),
        "trials_s": span(found.work),
        "gpu_hours": None if hours is None else dict(zip(("typical", "low", "high"), hours, strict=True)),
        "cost": None
        if hours is None or price is None
        else {key: h * price for key, h in zip(("typical", "low", "high"), hours, strict=True)},
        "bytes": found.size,
        "bytes_free": found.free,
        "doubts": doubts(found),
    }


def _pace(found: Outlay) -> str:
    took = sorted(found.pace.took_s)
    times = "once" if len(took) == 1 else f"{len(took)} times"
    ago = duration(max(0.0, time.time() - found.pace.tried))
    between = duration(took[0]) if took[0] == took[-1] else f"{duration(took[0])} to {duration(took[-1])}"
    return f"{between} a trial (tried {times}, {ago} ago)"


def _takes(found: Outlay) -> str:
    if found.n_trials is None:
        each = sum(found.pace.took_s) / len(found.pace.took_s)
        rate = (found.slots or 1) * 3600 / each
        return f"no end; about {number(rate, 2) if rate < 10 else f'{rate:,.0f}'} trials an hour" + (
            f", {found.slots} at once" if found.slots else ""
        )
    if found.takes is None:
        assert found.work is not None
        together = f"{_between(found.work)} of trials, one after the other"
        return f"about {together}; how many run at once is not known here (--slots)"
    ends = [time.time() + seconds for seconds in (found.takes.typical_s, found.takes.low_s, found.takes.high_s)]
    end, first, last = map(_moment, ends)
    when = f", until {end} ({first} to {last})" if found.takes.high_s < 10 * YEAR_S else ""
    return f"about {_between(found.takes)}, {found.slots} at once{when}"


def _between(left: TimeLeft) -> str:
    return f"{_span(left.typical_s)} ({_span(left.low_s)} to {_span(left.high_s)})"


def _span(seconds: float) -> str:
    if seconds >= 2 * YEAR_S:
        return f"{number(seconds / YEAR_S, 2)} years" if seconds < 100 * YEAR_S else f"{seconds / YEAR_S:,.0f} years"
    return f"{seconds / 86400:.0f} days" if seconds >= 10 * 86400 else duration(seconds)


def _moment(unix_s: float) -> str:
    form = "%H:%M" if unix_s - time.time() < 12 * 3600 else "%a %d %b %H:%M"
    if unix_s - time.time() > 30 * 86400:
        form = "%d %b %Y"
    return time.strftime(form, time.localtime(unix_s))


def _gpu_hours(found: Outlay) -> str:
    hours = found.gpu_hours
    if found.gpus is None and found.n_trials:
        return "not known: say orchestrator.resources.gpu"
    if hours is None:
        return "trials take no GPU, so --price has nothing to count" if found.price and found.n_trials else ""
    limit = found.budget_h
    ends = f"; the budget of {limit:g} ends it before" if limit is not None and hours[0] > limit else ""
    return _money(hours, found.price, "") + ends


def _gpu_line(found: Outlay) -> str:
    return "" if found.gpu_hours is None else _money(found.gpu_hours, found.price, " GPU hours")


def _money(hours: Sequence[float], price: float | None, unit: str) -> str:
    typical, low, high = (number(h, 3) if h < 1000 else f"{h:,.0f}" for h in hours)
    text = f"{typical}{unit} ({low} to {high})"
    if price is None:
        return text
    cost, least, most = (f"{h * price:,.2f}" if h * price < 100 else f"{h * price:,.0f}" for h in hours)
    return f"{text}, which cost {cost} ({least} to {most}) at {price:g}"


def _disk(found: Outlay) -> str:
    each = f"{size_text(found.pace.size)} a trial"
    kept = f", {size_text(found.pace.checkpoint_size)} of it checkpoints" if found.pace.checkpoint_size else ""
    free = f"; {size_text(found.free)} are free" if found.free is not None else ""
    if found.size is None:
        return f"{each}{kept}{free}"
    return f"about {size_text(found.size)}: {found.n_trials:,} x {each}{kept}{free}"


def size_text(n_bytes: int) -> str:
    """Return an amount of bytes for people."""
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= size:
            return f"{number(n_bytes / size, 3)} {unit}"
    return f"{n_bytes} bytes"
