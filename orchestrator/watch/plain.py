"""A sweep as plain lines, for log files and pipes."""

import time
from collections.abc import Callable

from orchestrator.ledger.records import TrialState
from orchestrator.printable import clean, clean_lines
from orchestrator.reporting.results import tuned
from orchestrator.reporting.wording import number
from orchestrator.watch.outlet import Outlet
from orchestrator.watch.progress import (
    NewBest,
    Note,
    Progress,
    SweepEnded,
    SweepEvent,
    TrialEnded,
    TrialRequeued,
    TrialStarted,
)
from orchestrator.watch.screen import ended_text, headline
from orchestrator.watch.text import brief

QUIET_S = (30.0, 60.0, 120.0, 300.0, 600.0)
"""A plain view that has nothing to say says where the sweep stands after so long, less and less often."""


class PlainView:
    """One line for each trial that ended, for notes, and now and then for where the sweep stands.

    An improvement is told with the end of its trial, not at each report of it.
    """

    def __init__(self, out: Outlet, *, verbose: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._verbose = verbose
        self._clock = clock
        self._spoke_s = clock()
        self._silences = 0
        self._best: int | None = None
        self._varying: frozenset[str] = frozenset()

    def event(self, event: SweepEvent) -> None:
        """Print what a reader of a log file wants to find there."""
        if isinstance(event, NewBest):
            self._best = event.number
        line = describe(event, verbose=self._verbose, varying=self._varying)
        if line is None:
            return
        is_best = isinstance(event, TrialEnded) and event.trial.number == self._best and has_result(event)
        self._write(line + (f", the best so far: {brief(tuned(event.trial.config, self._varying))}" if is_best else ""))  # type: ignore[union-attr]
        self._silences = 0

    def refresh(self, progress: Progress) -> None:
        """Say where the sweep stands when nothing else was said for a while."""
        self._varying = progress.varying
        if self._clock() - self._spoke_s < QUIET_S[min(self._silences, len(QUIET_S) - 1)]:
            return
        self._write(headline(progress))
        self._silences += 1

    def close(self) -> None:
        """Let everything out."""
        self._out.drain()

    def _write(self, line: str) -> None:
        self._out.write(clean_lines(line) + "\n")
        self._spoke_s = self._clock()


def describe(event: SweepEvent, *, verbose: bool, varying: frozenset[str] = frozenset()) -> str | None:
    """Return an event as one plain line, or None when it is not worth one; of configs what varies, all if that is unknown."""
    match event:
        case TrialStarted():
            where = f" on GPU {','.join(event.gpu_ids)}" if event.gpu_ids else ""
            return f"trial {event.number} started{where}: {brief(tuned(event.config, varying))}" if verbose else None
        case TrialEnded():
            total = "" if event.total is None else f"/{event.total}"
            log = f" ({clean(event.log_path)})" if event.trial.state is TrialState.FAILED else ""
            return f"[{event.done}{total}] {ended_text(event)}{log}"
        case TrialRequeued() if event.on_resume and not verbose:
            return None
        case TrialRequeued():
            return f"trial {event.number} will run again: {clean(event.reason)}"
        case NewBest():
            return f"new best {number(event.value)} in trial {event.number}" if verbose else None
        case Note():
            return clean(event.text)
        case SweepEnded():
            return None


def has_result(event: TrialEnded) -> bool:
    """Whether the trial came to something."""
    return event.trial.state in {TrialState.FINISHED, TrialState.STOPPED}
