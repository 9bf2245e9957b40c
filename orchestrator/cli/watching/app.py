"""The application: which screens there are, and its colours. `watch` runs it, and so does `run` for its own sweep."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from orchestrator.cli.watching.asking import Choice
from orchestrator.cli.watching.listing import Listing
from orchestrator.cli.watching.looks import THEMES, wanted_theme
from orchestrator.cli.watching.sweep_screen import SweepScreen
from orchestrator.cli.watching.sweeps_screen import SweepsScreen
from orchestrator.layout import SweepDir
from orchestrator.watch.text import stale_size

LEFT = b"left"
"""What the application ends with where its own sweep is to go on without it."""

LONGEST = 1 << 16
"""Bytes of what a controller says at its end."""

LEAVE = (
    ("d", "leave it: the sweep goes on without this terminal"),
    ("s", "stop it: running trials are asked to end, everything is kept"),
    ("escape", "stay"),
)
"""What can be meant by leaving, where this terminal has started the sweep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """The sweep that is this terminal's own: its controller ends with it, unless it is let go.

    Attributes:
        link: To the controller, whose last words come here; its end is the controller's.
        interrupt: Does what Ctrl-C means for it.
    """

    link: socket.socket
    interrupt: Callable[[], None]


class WatchApp(App[bytes]):
    """Shows the sweeps of a runs directory, or one of them at first.

    It ends with what the controller of its own sweep said at its end, with nothing (`b""`) if that said nothing, with
    `LEFT` where it is to go on; and with None in every other case.

    Args:
        runs: The runs directory.
        sweep_dir: The sweep that is shown at first; None for the list.
        own: That sweep, where this terminal has started it.
        clock: Unix time in seconds.
    """

    TITLE = "sweep watch"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "interrupt", show=False, priority=True)]

    def __init__(
        self,
        runs: Path,
        sweep_dir: SweepDir | None = None,
        *,
        own: Own | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._own = own
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
        if self._own is not None:
            asyncio.get_running_loop().add_reader(self._own.link, self._hear, self._own.link)

    def _hear(self, link: socket.socket) -> None:
        """Its own sweep is over, or its controller gone."""
        asyncio.get_running_loop().remove_reader(link)
        try:
            heard = link.recv(LONGEST)
        except OSError:
            heard = b""
        self.exit(heard)

    def on_unmount(self) -> None:
        """Listen no more."""
        if self._own is not None:
            asyncio.get_running_loop().remove_reader(self._own.link)

    async def action_quit(self) -> None:
        """Leave; a sweep of its own is not left without asking what becomes of it."""
        if self._own is None:
            self.exit()
        elif not isinstance(self.screen, Choice):
            self.push_screen(Choice("What becomes of the sweep?", LEAVE), self._leave)

    def _leave(self, answer: str | None) -> None:
        if answer == "d":
            self.exit(LEFT)
        elif answer == "s":
            self.action_interrupt()

    def action_interrupt(self) -> None:
        """Do what Ctrl-C does: leave, or stop the sweep that is this terminal's own, the harder the more often."""
        if self._own is None:
            self.exit()
            return
        self._own.interrupt()

    def on_sweeps_screen_opened(self, event: SweepsScreen.Opened) -> None:
        """Show the sweep that was chosen; Escape leads back to the list."""
        self._open(event.sweep_dir)

    def _open(self, sweep_dir: SweepDir) -> None:
        self.push_screen(SweepScreen(sweep_dir, clock=self._clock))


def show(runs: Path, sweep_dir: SweepDir | None, own: Own | None = None) -> bytes | None:
    """Show the sweeps of a runs directory on the terminal until they are left; return what `WatchApp` ends with."""
    for name in stale_size(sys.stdout):
        os.environ.pop(name, None)
    return WatchApp(runs, sweep_dir, own=own).run()
