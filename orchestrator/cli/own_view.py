"""`sweep run` on a terminal: its controller in a process of its own, and the application of `sweep watch` in this one."""

import json
import signal
import sys
from functools import partial
from pathlib import Path

from orchestrator.cli import detached
from orchestrator.cli.terminal import is_screen
from orchestrator.errors import LedgerError
from orchestrator.layout import SweepDir
from orchestrator.ledger.reader import LedgerReader
from orchestrator.printable import clean
from orchestrator.watch.ending import on_sweep

MOST_REMARKS = 20
"""Of the controller, that are shown once its application is closed."""

SIGNALED = 128
"""What a shell adds to the number of the signal that ended a process."""


def leave(*, plain: bool, detach: bool, as_json: bool, quiet: bool, verbose: bool) -> detached.Departure | None:
    """Divide the process where the sweep is not to be shown by the one that controls it; return in the one that does.

    To be called before there are threads.

    Args:
        plain: Whether its lines are wanted rather than the application.
        detach: Whether nobody watches.
        as_json: Whether JSON is printed.
        quiet: Whether the directory alone is.
        verbose: Whether all is to be read that happens, Ray's words included: lines can tell that.

    Raises:
        typer.Exit: In the other one, in the end.
    """
    if detach:
        return detached.leave(as_json=as_json, quiet=quiet)
    if plain or as_json or quiet or verbose or not is_screen():
        return None
    return detached.divide(_watched, is_watched=True)


def _watched(child: detached.Child) -> int | None:
    """Show the sweep until it is over or left, and then what an application takes away with it: remarks, and the end.

    Where the screen fails, its lines go on being shown.
    """
    from orchestrator.cli.watching.app import LEFT, Own, show

    sweep_dir = SweepDir(Path(str(child.facts["path"])))
    n_known = len(_remarks(sweep_dir))
    heard = show(sweep_dir.path.parent, sweep_dir, Own(link=child.link, interrupt=partial(child.signal, signal.SIGINT)))
    if heard == LEFT:
        child.let_go()
        child.say_begun(as_json=False, quiet=False)
        return 0
    _say_remarks(_remarks(sweep_dir)[n_known:], sweep_dir)
    if heard is None:
        child.show_from_here()
    elif heard:
        child.show_from(int(json.loads(heard)["end"]))
    else:
        return _killed(child, sweep_dir)
    return None


def _remarks(sweep_dir: SweepDir) -> list[str]:
    """What its controller has said so far; nothing where that cannot be read."""
    try:
        with LedgerReader(sweep_dir.ledger_path, whole=False) as reader:
            return [text for _, text in reader.notes(0)]
    except LedgerError:
        return []


def _say_remarks(said: list[str], sweep_dir: SweepDir) -> None:
    if len(said) > MOST_REMARKS:
        print(
            f"({len(said) - MOST_REMARKS} earlier remarks: {clean(str(sweep_dir.controller_log_path))})",
            file=sys.stderr,
        )
    for text in said[-MOST_REMARKS:]:
        print(clean(text), file=sys.stderr)


def _killed(child: detached.Child, sweep_dir: SweepDir) -> int:
    """Say how a controller ended that did not say so: it left at once, as the last line of its log has it, or was killed."""
    child.show_last_line()
    code = child.waited()
    if code > SIGNALED:
        print(
            f"the controller was killed by signal {code - SIGNALED}; what was recorded is kept. "
            f"Go on with: {clean(on_sweep('resume', sweep_dir))}",
            file=sys.stderr,
        )
    return code
