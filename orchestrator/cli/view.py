"""Three ways to watch a sweep: a live table on a terminal, plain lines elsewhere, JSON events for programs."""

import dataclasses
import json
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import IO, Any, cast

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from orchestrator.cli.outlet import Outlet
from orchestrator.cli.screen import ended_text, headline, screen
from orchestrator.cli.text import brief, clean, number
from orchestrator.ledger.records import TrialState
from orchestrator.printable import clean_lines
from orchestrator.progress import (
    NewBest,
    Note,
    Progress,
    SweepEnded,
    SweepEvent,
    TrialEnded,
    TrialRequeued,
    TrialStarted,
    View,
)

SHOWN_ENDED = 8
"""The live view keeps this many of the latest ended trials, and shows as many as fit."""

QUIET_S = (30.0, 60.0, 120.0, 300.0, 600.0)
"""A plain view that has nothing to say says where the sweep stands after so long, less and less often."""


def make_view(*, as_json: bool, verbose: bool) -> View:
    """Return the view that suits where the command's output goes."""
    if as_json:
        return JsonView(Outlet(sys.stdout))
    outlet = Outlet(sys.stderr)
    console = Console(file=cast("IO[str]", outlet))
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveView(console, outlet, verbose=verbose)
    return PlainView(outlet, verbose=verbose)


class JsonView:
    """One JSON object per event on standard output, named by its ``event`` key."""

    def __init__(self, out: Outlet) -> None:
        self._out = out

    def event(self, event: SweepEvent) -> None:
        """Print the event as one line."""
        body: dict[str, Any] = {"event": _snake(type(event).__name__), "time": time.time(), **dataclasses.asdict(event)}
        self._out.write(json.dumps(body, default=str) + "\n")

    def refresh(self, progress: Progress) -> None:
        """Events say it all."""

    def close(self) -> None:
        """Let everything out."""
        self._out.drain()


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

    def event(self, event: SweepEvent) -> None:
        """Print what a reader of a log file wants to find there."""
        if isinstance(event, NewBest):
            self._best = event.number
        line = describe(event, verbose=self._verbose)
        if line is None:
            return
        is_best = isinstance(event, TrialEnded) and event.trial.number == self._best and _counts(event)
        self._write(line + (f", the best so far: {brief(event.trial.config)}" if is_best else ""))  # type: ignore[union-attr]
        self._silences = 0

    def refresh(self, progress: Progress) -> None:
        """Say where the sweep stands when nothing else was said for a while."""
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


class LiveView:
    """The live table, redrawn in place. What should stay (failures, notes) is printed above it.

    Args:
        console: What draws on the outlet.
        outlet: While it is behind, nothing is redrawn: whoever looks again wants to see how things are, not how they were.
        verbose: Whether every event is told.
    """

    def __init__(self, console: Console, outlet: Outlet, *, verbose: bool = False) -> None:
        self._console = console
        self._outlet = outlet
        self._verbose = verbose
        self._live: Live | None = None
        self._ended: deque[TrialEnded] = deque(maxlen=SHOWN_ENDED)

    def event(self, event: SweepEvent) -> None:
        """Keep ended trials for the table; print failures and notes above it; end with the sweep."""
        if isinstance(event, TrialEnded):
            self._ended.append(event)
        stays = isinstance(event, Note | TrialRequeued) or (isinstance(event, TrialEnded) and not _counts(event))
        line = describe(event, verbose=self._verbose) if stays or self._verbose else None
        if line is not None:
            self._console.print(Text(clean_lines(line)), style="dim", soft_wrap=True)
        if isinstance(event, SweepEnded):
            self._take_away()

    def wait(self, text: str) -> None:
        """Say what is waited for until the first redraw."""
        self._draw([Text(text, style="dim", no_wrap=True, overflow="ellipsis")])

    def refresh(self, progress: Progress) -> None:
        """Draw the table anew."""
        if self._outlet.is_behind:
            return
        width, height = self._console.size
        self._draw(screen(progress, list(self._ended), width=width, height=height - 1))

    def _draw(self, lines: list[Text]) -> None:
        for line in lines:
            if not line.plain.isprintable():
                line.plain = clean_lines(line.plain)  # as long as before: what is painted stays painted
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(Group(*lines), refresh=True)

    def close(self) -> None:
        """Take the table away, and let everything out."""
        self._take_away()
        self._outlet.drain()

    def _take_away(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def describe(event: SweepEvent, *, verbose: bool) -> str | None:
    """Return an event as one plain line, or None when it is not worth one."""
    match event:
        case TrialStarted():
            where = f" on GPU {','.join(event.gpu_ids)}" if event.gpu_ids else ""
            return f"trial {event.number} started{where}: {brief(event.config)}" if verbose else None
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


def _counts(event: TrialEnded) -> bool:
    """Whether the trial came to something."""
    return event.trial.state in {TrialState.FINISHED, TrialState.STOPPED}


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
