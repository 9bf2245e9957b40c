"""How the command line sees a sweep to its end: the view that suits the terminal, Ctrl-C, and what is said at the end."""

import sys
from typing import TYPE_CHECKING

from orchestrator import session
from orchestrator.errors import ClusterError, ExitCode, LedgerError, SweepError, SweepGoneError

if TYPE_CHECKING:
    from orchestrator.cli.detached import Departure
    from orchestrator.control.controller import Strategy
    from orchestrator.control.pythons import Pythons
    from orchestrator.layout import SweepDir
    from orchestrator.ledger.store import Ledger
    from orchestrator.spec import SweepSpec


def conduct(
    sweep_dir: "SweepDir",
    ledger: "Ledger",
    spec: "SweepSpec",
    cluster: session.ClusterOptions,
    *,
    as_json: bool,
    quiet: bool,
    pythons: "Pythons",
    strategy: "Strategy | None" = None,
    departure: "Departure | None" = None,
) -> ExitCode:
    """Run a sweep from what its ledger holds to its end; the caller holds the lock and closes the ledger.

    Trials run in `pythons`; a `strategy` that has been made already is used. With a `departure` the terminal is left first.

    Raises:
        SweepError: It cannot go on. Nothing is lost: `sweep resume` continues.
    """
    from orchestrator.printable import clean
    from orchestrator.reporting.results import Results
    from orchestrator.watch.ending import resume_command, say_end
    from orchestrator.watch.interrupts import Interrupts
    from orchestrator.watch.live import LiveView, make_view
    from orchestrator.watch.progress import CompositeView, Note

    if departure is not None:
        departure.settle(sweep_dir)
    view = make_view(as_json=as_json, verbose=cluster.verbose) if as_json or not quiet else CompositeView()
    if as_json:
        view.event(Note(text="\n".join(f"python {line}" for line in pythons.lines(ledger.sweep.record.cwd))))
    interrupts = Interrupts(resume_command(sweep_dir))
    waits_for = "connecting to Ray" if cluster.is_cluster else "starting Ray on this machine"
    if isinstance(view, LiveView):
        view.wait(waits_for)
    if departure is not None and departure.is_watched:
        print(waits_for, file=sys.stderr, flush=True)
    watching = view if departure is None else CompositeView(view, departure)
    try:
        end = session.conduct(
            sweep_dir,
            ledger,
            spec,
            cluster,
            view=watching,
            interrupts=interrupts,
            pythons=pythons,
            strategy=strategy,
            terminal=None if departure is None else departure.terminal,
        )
    except SweepGoneError:
        raise
    except (ClusterError, LedgerError) as error:
        raise _resumable(error, sweep_dir, has_begun=bool(ledger.trials())) from error
    finally:
        watching.close()
    if quiet and not as_json:
        print(clean(str(sweep_dir.path)))
    elif not as_json:
        say_end(end, Results.of(sweep_dir, spec, ledger))
    return end.exit_code


def _resumable(error: SweepError, sweep_dir: "SweepDir", *, has_begun: bool) -> SweepError:
    """The same error with what to do next: whatever went wrong on the way, a sweep that has begun goes on from its ledger."""
    from orchestrator.watch.ending import resume_command

    told = type(error)(f"{error}\n  Go on with: {resume_command(sweep_dir)}" if has_begun else str(error))
    told.exit_code = ExitCode.INTERRUPTED if isinstance(error, LedgerError) else error.exit_code
    return told
