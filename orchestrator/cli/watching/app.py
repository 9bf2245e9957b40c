"""The application: which screens there are, and its colours. `watch` runs it."""

import time
from collections.abc import Callable
from pathlib import Path

from textual.app import App

from orchestrator.cli.watching.listing import Listing
from orchestrator.cli.watching.looks import THEMES, wanted_theme
from orchestrator.cli.watching.sweep_screen import SweepScreen
from orchestrator.cli.watching.sweeps_screen import SweepsScreen
from orchestrator.layout import SweepDir


class WatchApp(App[None]):
    """Shows the sweeps of a runs directory, or one of them at first.

    Args:
        runs: The runs directory.
        sweep_dir: The sweep that is shown at first; None for the list.
        clock: Unix time in seconds.
    """

    TITLE = "sweep watch"
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self, runs: Path, sweep_dir: SweepDir | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__()
        self._clock = clock
        self._listing = Listing(runs)
        self._first = sweep_dir
        for theme in THEMES.values():
            self.register_theme(theme)
        self.theme = wanted_theme()

    def on_mount(self) -> None:
        """Open the list, and the sweep above it."""
        self.push_screen(SweepsScreen(self._listing, clock=self._clock))
        if self._first is not None:
            self._open(self._first)

    def on_sweeps_screen_opened(self, event: SweepsScreen.Opened) -> None:
        """Show the sweep that was chosen; Escape leads back to the list."""
        self._open(event.sweep_dir)

    def _open(self, sweep_dir: SweepDir) -> None:
        self.push_screen(SweepScreen(sweep_dir, clock=self._clock))
