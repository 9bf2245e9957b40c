"""Values at which a trial has finished: Ray Tune's `stop`, for programs that never end by themselves."""

from collections.abc import Mapping, Sequence

from orchestrator.stopping.wording import tell_apart
from orchestrator.trial.contract.events import Report

ITERATION, TIME_TOTAL_S = "training_iteration", "time_total_s"


def reached(
    limits: Mapping[str, float], reports: Sequence[Report], *, iteration: int, since: float | None
) -> str | None:
    """Return which limit a trial has reached and with what, as one sentence; None when it may go on.

    A value at or above its limit ends the trial, whatever the metric's goal: that is how Tune compares. A Tune program ends
    by itself, with the very row that reaches a limit; whatever this says of it is never earlier.

    Args:
        limits: Lowest final values by metric name.
        reports: The rows that are new.
        iteration: Values of the objective that the trial has reported by now.
        since: When the attempt reported first (Unix time in seconds); None if these are its first reports.
    """
    for report in reports:
        counted = {
            ITERATION: float(iteration),
            TIME_TOTAL_S: report.time - (reports[0].time if since is None else since),
        }
        for name, limit in limits.items():
            value = {**counted, **report.metrics}.get(name)
            if value is not None and value >= limit:
                shown, bound = tell_apart(value, limit)
                return f"{name} is {shown}, and orchestrator.stop or max_t has {bound}"
    return None
