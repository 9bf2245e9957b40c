"""`sweep attach`: watch a sweep that runs, from any terminal; leaving does not touch it."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from orchestrator.cli.elsewhere import AtOption
from orchestrator.cli.naming import sweep_named
from orchestrator.cli.options import EventsOption, QuietOption, RunsDirOption, SweepArgument, VerboseOption
from orchestrator.errors import ClusterError, ExitCode, SweepError

if TYPE_CHECKING:
    from orchestrator.layout import SweepDir
    from orchestrator.ledger.reader import LedgerReader
    from orchestrator.ledger.records import SweepRecord
    from orchestrator.watch.progress import View

HINT = "Ctrl-C leaves and the sweep goes on; `sweep stop` ends it"

LOOK_S = 0.2
"""How often the ledger is looked at."""

SHARE = 0.1
"""The largest share of the time that looking may take."""


def attach(
    sweep: SweepArgument = "last",
    runs_dir: RunsDirOption = None,
    _at: AtOption = None,
    quiet: QuietOption = False,
    as_json: EventsOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Watch a sweep as `sweep run` shows it, and end with its exit code. Ctrl-C leaves; the sweep goes on."""
    from orchestrator.ledger.lock import holder
    from orchestrator.ledger.reader import LedgerReader
    from orchestrator.watch.live import make_view
    from orchestrator.watch.progress import CompositeView

    sweep_dir = sweep_named(sweep, runs_dir)
    view = make_view(as_json=as_json, verbose=verbose, hint=HINT) if as_json or not quiet else CompositeView()
    with LedgerReader(sweep_dir.ledger_path, whole=False) as reader:
        who = holder(sweep_dir.lock_path)
        try:
            who, has_left = _watch(sweep_dir, reader, view) if who is not None else (None, False)
        finally:
            view.close()
        if has_left:
            _say_left(sweep_dir)
            return
        code = _say_end(sweep_dir, reader, who, view if as_json else None, quiet=quiet)
    if code is not ExitCode.DONE:
        raise typer.Exit(code)


@contextmanager
def _ctrl_c() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether Ctrl-C was pressed; an exception out of nowhere might leave a lock of the view's held."""
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


def _watch(sweep_dir: "SweepDir", reader: "LedgerReader", view: "View") -> tuple[str | None, bool]:
    """Show a sweep until nobody controls it any more; return who did last, and whether Ctrl-C was pressed before."""
    from orchestrator.ledger.connection import is_on_network
    from orchestrator.ledger.lock import holder
    from orchestrator.watch.follower import Follower
    from orchestrator.watch.live import LiveView

    follower, on_network = Follower(sweep_dir, reader), is_on_network(sweep_dir.lock_path)
    if isinstance(view, LiveView):
        view.wait("waiting for the sweep's controller")
    seen, last = None, None
    with _ctrl_c() as has_left:
        while not has_left():
            began_s = time.monotonic()
            who = holder(sweep_dir.lock_path, on_network=on_network)  # first: what it did before is in the ledger then
            version = reader.version()
            for event in follower.look() if version != seen else ():
                view.event(event)
            if who is None:
                return last, False
            seen, last = version, who
            if follower.has_begun:
                view.refresh(follower.progress())
            _pause(max(LOOK_S, (time.monotonic() - began_s) / SHARE), has_left)
    return last, True


def _pause(seconds: float, has_left: "Callable[[], bool]") -> None:
    until_s = time.monotonic() + seconds
    while not has_left() and (left_s := until_s - time.monotonic()) > 0:
        time.sleep(min(LOOK_S, left_s))


def _say_left(sweep_dir: "SweepDir") -> None:
    from orchestrator.ledger.lock import holder
    from orchestrator.watch.ending import on_sweep

    stop, back = on_sweep("stop", sweep_dir), on_sweep("attach", sweep_dir)
    who = holder(sweep_dir.lock_path) or "its controller"
    typer.echo(f"left; sweep {sweep_dir.sweep_id} goes on ({who}). Stop it: {stop}. Come back: {back}", err=True)


def _say_end(
    sweep_dir: "SweepDir", reader: "LedgerReader", who: str | None, events: "View | None", *, quiet: bool
) -> ExitCode:
    """Say how a sweep ended, as its own controller did; `who` that was, if that is known.

    Raises:
        SweepError: It did not end by itself.
    """
    from orchestrator.printable import clean
    from orchestrator.reporting.results import read_results
    from orchestrator.watch.ending import say_end
    from orchestrator.watch.progress import SweepEnded

    record = reader.sweep()
    code = _exit_code(sweep_dir, record, who)
    end = SweepEnded(exit_code=code, reason=record.reason or "")
    if events is not None:
        events.event(end)
        events.close()
    elif quiet:
        typer.echo(clean(str(sweep_dir.path)))
    else:
        say_end(end, read_results(sweep_dir, reader))
    return code


def _exit_code(sweep_dir: "SweepDir", record: "SweepRecord", who: str | None) -> ExitCode:
    """What the sweep's controller ended with; of earlier releases, which did not record it, by the sweep's state.

    Raises:
        SweepError: It ended with an error, or was killed.
    """
    from orchestrator.ledger.records import SweepState
    from orchestrator.watch.ending import on_sweep

    go_on = f"  Go on with: {on_sweep('resume', sweep_dir)}"
    if not record.is_over:
        log = f"\n  What it said: {sweep_dir.controller_log_path}" if sweep_dir.controller_log_path.exists() else ""
        gone = SweepError(
            f"the controller of sweep {sweep_dir.sweep_id} is gone{f' ({who})' if who else ''}: it was killed, or its "
            f"machine went down. What was recorded is kept.\n{go_on}{log}"
        )
        gone.exit_code = ExitCode.INTERRUPTED
        raise gone
    if record.exit_code == ExitCode.CLUSTER_UNAVAILABLE:
        raise ClusterError(f"{record.reason}\n{go_on}")
    if record.exit_code in set(ExitCode):
        return ExitCode(record.exit_code)
    by_state = {SweepState.FINISHED: ExitCode.DONE, SweepState.FAILED: ExitCode.NO_TRIAL_SUCCEEDED}
    return by_state.get(record.state, ExitCode.INTERRUPTED)
