"""`sweep watch`: see and steer sweeps on a terminal, any number of them, from anywhere."""

from typing import Annotated

import typer

from orchestrator.cli import completion
from orchestrator.cli.elsewhere import AtOption
from orchestrator.cli.naming import sweep_named
from orchestrator.cli.options import QuietOption, RunsDirOption
from orchestrator.cli.terminal import is_screen

WatchedArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="SWEEP",
        help="Id, name, directory, how one of these begins, or last; the list of all without it.",
        show_default=False,
        autocompletion=completion.sweeps,
    ),
]


def watch(
    sweep: WatchedArgument = None, runs_dir: RunsDirOption = None, _at: AtOption = None, quiet: QuietOption = False
) -> None:
    """See and steer sweeps: trials, logs, curves; stop, cancel, retry, pause. ? lists the keys; leaving changes nothing.

    Where there is no terminal, with -q, or with --at http://, which has none, it does what `sweep attach` does.
    """
    if quiet or not is_screen():
        from orchestrator.cli.commands.attach import attach

        attach(sweep or "last", runs_dir, quiet=quiet)
        return
    from orchestrator.cli.watching.app import show
    from orchestrator.ledger.paths import runs_dir as runs_dir_of

    show(runs_dir_of(runs_dir), None if sweep is None else sweep_named(sweep, runs_dir))
