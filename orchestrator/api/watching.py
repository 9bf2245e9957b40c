"""Who watches a sweep that was started from Python: a display in a notebook, and what the command line shows elsewhere."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING

from orchestrator.api.driving import in_notebook
from orchestrator.ledger.records import TrialState
from orchestrator.watch.progress import Progress, SweepEnded, SweepEvent, TrialEnded, View

if TYPE_CHECKING:
    from orchestrator.layout import SweepDir
    from orchestrator.ledger.store import Ledger
    from orchestrator.spec import SweepSpec
    from orchestrator.watch.notebook import Show

Interrupting = AbstractContextManager[Callable[[], int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How one sweep is watched.

    Attributes:
        view: Who is told.
        interrupts: While entered, counts the times the user asked to stop.
        say_end: Says how it ended.
        quiet: Entered while the sweep runs: what others say meanwhile.
    """

    view: View
    interrupts: Interrupting
    say_end: "Callable[[SweepEnded, SweepSpec, Ledger], None]"
    quiet: AbstractContextManager[None] = field(default_factory=nullcontext)


def watching(sweep_dir: "SweepDir") -> Watch:
    """Return what suits this process: a notebook's kernel, a script in a terminal, a script elsewhere."""
    if in_notebook():
        return notebook_watch(sweep_dir)
    from orchestrator.watch.ending import resume_command
    from orchestrator.watch.interrupts import Interrupts
    from orchestrator.watch.live import LiveView, make_view

    view = make_view(as_json=False, verbose=False)
    if isinstance(view, LiveView):
        view.wait("connecting to Ray" if "RAY_ADDRESS" in os.environ else "starting Ray on this machine")
    return Watch(
        view=view, interrupts=_interrupts(Interrupts(resume_command(sweep_dir))), say_end=_end_sayer(sweep_dir)
    )


def notebook_watch(sweep_dir: "SweepDir", show: "Show | None" = None) -> Watch:
    """Return what suits a notebook: that of this process's kernel, or where `show` shows."""
    from orchestrator.watch.notebook import NotebookView, quiet

    notebook = NotebookView(sweep_dir, show)
    interrupts = _interrupts(_notebook_interrupts())
    return Watch(view=notebook, interrupts=interrupts, say_end=notebook.say_end, quiet=quiet())


class Failures:
    """A view that counts failures in a row on their way to another view."""

    def __init__(self, view: View, limit: int | None) -> None:
        self._view = view
        self._limit = limit
        self.in_a_row = 0
        self.too_many = False

    def event(self, event: SweepEvent) -> None:
        """Count, and pass it on."""
        if isinstance(event, TrialEnded):
            self.in_a_row = self.in_a_row + 1 if event.trial.state is TrialState.FAILED else 0
            self.too_many = self.too_many or (self._limit is not None and self.in_a_row >= self._limit)
        self._view.event(event)

    def refresh(self, progress: Progress) -> None:
        """Pass it on."""
        self._view.refresh(progress)

    def close(self) -> None:
        """Pass it on."""
        self._view.close()

    @contextmanager
    def or_after(self, interrupts: Interrupting) -> Iterator[Callable[[], int]]:
        """Count too many failures in a row as the first time that the user asked to stop."""
        with interrupts as count:
            yield lambda: max(count(), int(self.too_many))


def _interrupts(found: Interrupting) -> Interrupting:
    """Python delivers signals to the main thread alone: elsewhere there are none to count."""
    return found if threading.current_thread() is threading.main_thread() else _never()


@contextmanager
def _never() -> Iterator[Callable[[], int]]:
    yield lambda: 0


@contextmanager
def _notebook_interrupts() -> Iterator[Callable[[], int]]:
    """The notebook's stop button: the first asks, the second insists, the third raises KeyboardInterrupt at once."""
    count = 0
    is_watched = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > 2:
            raise KeyboardInterrupt

    def counted() -> int:
        nonlocal is_watched
        if not is_watched:
            signal.signal(signal.SIGINT, handle)  # once more: Ray may have put its own in between
            is_watched = True
        return count

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield counted
    finally:
        signal.signal(signal.SIGINT, before)


def _end_sayer(sweep_dir: "SweepDir") -> "Callable[[SweepEnded, SweepSpec, Ledger], None]":
    def say(end: SweepEnded, spec: "SweepSpec", ledger: "Ledger") -> None:
        from orchestrator.reporting.results import Results
        from orchestrator.watch.ending import say_end

        say_end(end, Results.of(sweep_dir, spec, ledger))

    return say
