"""`sweep notify`: who would be told what becomes of a sweep, and whether they can be."""

import os
from typing import Annotated

import typer

from orchestrator.cli.options import ChangesOption, SilentOption, SpecArgument
from orchestrator.errors import ExitCode


def notify(
    spec: SpecArgument,
    test: Annotated[bool, typer.Option("--test", help="Send each of them a message now.")] = False,
    changes: ChangesOption = None,
    quiet: SilentOption = False,
) -> None:
    """Say who is told of the end, a new best, lost nodes, the budget and alerts, and why one cannot be."""
    from orchestrator.cli import specs
    from orchestrator.errors import SweepError
    from orchestrator.printable import clean
    from orchestrator.watch.messengers import Message, NotToldError, check, deliver

    loaded, _ = specs.load(spec, changes or [])
    if not loaded.options.notify:
        raise SweepError(
            f"{spec} tells nobody.\n  Say whom in the spec, such as: orchestrator: {{notify: [bell, '${{NTFY_URL}}']}}"
        )
    title = f"sweep {loaded.name or spec.stem}: test"
    message = Message(topic="test", title=title, text="This is what `sweep notify --test` sends.")
    failed = 0
    for recipient in loaded.options.notify:
        said, is_told = "told" if test else "would be told", True
        try:
            if test:
                deliver(recipient, message, dict(os.environ))
            else:
                check(recipient, os.environ)
        except NotToldError as error:
            said, is_told = f"cannot be told: {error}", False
            failed += 1
        if not quiet:
            typer.echo(clean(f"{recipient.shown}: {said}"), err=not is_told)
    if failed:
        raise typer.Exit(ExitCode.NO_TRIAL_SUCCEEDED)
