"""Issues that other signs show: gradients, silence, and how the trial ended."""

import math
from itertools import pairwise
from statistics import median

from orchestrator.diagnosis.model import Case, Flag, Issue
from orchestrator.trial.contract.watched import NORM, SPREAD

MIN_SAMPLES = 2

VANISHING = 1e-5
"""A layer whose gradient is so much smaller than another's learns nothing beside it."""

VANISHING_AT_ONCE = 1e-7
"""The same where only one sample could be taken."""

EXPLODING = 100.0
"""Growth of the gradient norm over its quiet time, and its least size, that make an explosion."""

SILENT_S = 60.0
SILENT_INTERVALS = 10.0
"""A trial that did not report for ten times its usual interval, and a minute, is silent."""

IDLE = 0.5
"""Share of the time for which a GPU stood idle, surely, that is worth saying."""

IDLE_S = 60.0
IDLE_LOOKS = 6
"""A trial that is younger, or was looked at less often, says nothing: it has just begun."""

DEADLY = frozenset({"failed", "killed", "out_of_gpu_memory", "not_started"})


def vanishing(case: Case) -> list[Flag]:
    """Every gradient is zero, or a layer's are negligible beside another's, in every sample of late; NaN tells of neither."""
    norm, spread = case.series.get(NORM), case.series.get(SPREAD)
    norms = norm.values[-3:] if norm is not None else []
    if norms and all(value == 0 for value in norms):
        return [Flag(issue=Issue.VANISHING, evidence="every gradient is zero: no layer learns any more")]
    if spread is None or not spread.values or not all(map(math.isfinite, (*norms, *spread.values[-3:]))):
        return []
    largest = max(spread.values[-3:])
    if largest >= (VANISHING if len(spread.values) >= MIN_SAMPLES else VANISHING_AT_ONCE):
        return []
    evidence = f"one layer's gradient is {largest:.1g} of another's (watch/gradients/* in TensorBoard shows which)"
    return [Flag(issue=Issue.VANISHING, evidence=evidence)]


def exploding(case: Case) -> list[Flag]:
    """The gradient norm is not finite, or far above what it was."""
    norm = case.series.get(NORM)
    if norm is None or not norm.values:
        return []
    last = norm.values[-1]
    if not math.isfinite(last):
        return [Flag(issue=Issue.EXPLODING, evidence=f"the gradient norm is {last}")]
    if len(norm.values) < MIN_SAMPLES:
        return []
    finite = [v for v in norm.values if math.isfinite(v)]
    usual, recent = min(finite), median(finite[-3:])
    if recent <= EXPLODING * max(usual, 1.0):
        return []
    return [Flag(issue=Issue.EXPLODING, evidence=f"the gradient norm went from {usual:.3g} to {recent:.3g}")]


def silent(case: Case) -> list[Flag]:
    """Nothing has been reported for much longer than usual: while it runs, or until its time was over."""
    if case.cause not in {None, "timed_out"} or case.begun is None:
        return []
    quiet_s = case.now - max([case.begun, *(t for series in case.series.values() for t in series.times)])
    times = max((series.times for series in case.series.values()), key=len, default=())
    if not times:
        told = case.cause == "timed_out"
        return [Flag(issue=Issue.SILENT, evidence=f"it reported nothing in {quiet_s:.0f} s")] if told else []
    usual_s = median(b - a for a, b in pairwise([case.begun, *times]))
    least_s = (case.now - case.begun) / 2 if case.cause == "timed_out" else SILENT_S
    if quiet_s < max(least_s, SILENT_INTERVALS * usual_s):
        return []
    return [Flag(issue=Issue.SILENT, evidence=f"no row for {quiet_s:.0f} s; before, one every {usual_s:.2g} s")]


def crashed(case: Case) -> list[Flag]:
    """The program ended by an error of its own."""
    if case.cause not in DEADLY:
        return []
    return [Flag(issue=Issue.CRASHED, evidence=case.error or case.cause.replace("_", " "))]


def idle_gpu(case: Case) -> list[Flag]:
    """Its GPUs stood idle for more than half of the time: two standard errors more, the worst that so few looks can have."""
    use = case.use
    if use is None or use.busy is None or use.seconds < IDLE_S or use.n_looks < IDLE_LOOKS:
        return []
    idle = 1 - use.busy
    if idle - 2 * math.sqrt(idle * use.busy / use.n_looks) < IDLE:
        return []
    which = " and ".join(gpu.gpu for gpu in use.gpus)
    shared = ", which others used as well," if use.gpu_share < 1 else ""
    evidence = f"GPU {which}{shared} stood idle {100 * idle:.0f} % of {use.seconds:.0f} s, in {use.n_looks} looks"
    return [Flag(issue=Issue.IDLE_GPU, evidence=evidence)]
