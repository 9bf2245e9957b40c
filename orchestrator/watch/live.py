"""A sweep as a live table on a terminal, and the view that suits where the output goes."""

import os
import sys
from collections import deque
from typing import IO, cast

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from orchestrator.printable import clean_lines
from orchestrator.watch.json_lines import JsonView
from orchestrator.watch.outlet import Outlet
from orchestrator.watch.plain import PlainView, describe, has_result
from orchestrator.watch.progress import (
    Note,
    Progress,
    SweepEnded,
    SweepEvent,
    TrialEnded,
    TrialRequeued,
    View,
)
from orchestrator.watch.screen import HINT, screen
from orchestrator.watch.text import stale_size

SHOWN_ENDED = 8
"""The live view keeps this many of the latest ended trials, and shows as many as fit."""


def make_view(*, as_json: bool, verbose: bool, hint: str = HINT) -> View:
    """Return the view that suits where the command's output goes; `hint` says what Ctrl-C does."""
    if as_json:
        return JsonView(Outlet(sys.stdout))
    outlet = Outlet(sys.stderr)
    stale = stale_size(outlet)
    console = Console(
        file=cast("IO[str]", outlet), _environ={name: value for name, value in os.environ.items() if name not in stale}
    )
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveView(console, outlet, verbose=verbose, hint=hint)
    return PlainView(outlet, verbose=verbose)


class LiveView:
    """The live table, redrawn in place. What should stay (failures, notes) is printed above it.

    Args:
        console: What draws on the outlet.
        outlet: While it is behind, nothing is redrawn: whoever looks again wants to see how things are, not how they were.
        verbose: Whether every event is told.
        hint: What Ctrl-C does.
    """

    def __init__(self, console: Console, outlet: Outlet, *, verbose: bool = False, hint: str = HINT) -> None:
        self._console = console
        self._outlet = outlet
        self._verbose = verbose
        self._hint = hint
        self._live: Live | None = None
        self._ended: deque[TrialEnded] = deque(maxlen=SHOWN_ENDED)
        self._varying: frozenset[str] = frozenset()

    def event(self, event: SweepEvent) -> None:
        """Keep ended trials for the table; print failures and notes above it; end with the sweep."""
        if isinstance(event, TrialEnded):
            self._ended.append(event)
        stays = isinstance(event, Note | TrialRequeued) or (isinstance(event, TrialEnded) and not has_result(event))
        line = describe(event, verbose=self._verbose, varying=self._varying) if stays or self._verbose else None
        if line is not None:
            self._console.print(Text(clean_lines(line)), style="dim", soft_wrap=True)
        if isinstance(event, SweepEnded):
            self._take_away()

    def wait(self, text: str) -> None:
        """Say what is waited for until the first redraw."""
        self._draw([Text(text, style="dim", no_wrap=True, overflow="ellipsis")])

    def refresh(self, progress: Progress) -> None:
        """Draw the table anew."""
        self._varying = progress.varying
        if self._outlet.is_behind:
            return
        width, height = self._console.size
        self._draw(screen(progress, list(self._ended), width=width, height=height - 1, hint=self._hint))

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
