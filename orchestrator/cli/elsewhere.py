"""`--at ADDRESS`: the command is not done here, but by the `sweep` of a head, with the sweeps that lie there."""

import secrets
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from orchestrator.remote.address import parse_address

WORDS = "orchestrator.cli.words"
"""Where the main command keeps the words that it was called with."""


def _act(context: Any, address: str | None) -> None:
    """Do what the words ask for on a head, and end.

    Raises:
        typer.Exit: With the exit code from there.
    """
    if address is None or context.resilient_parsing:
        return
    from orchestrator.cli.heads import Controller, control, request_of, run_there

    found, words = parse_address(address), without(context.meta[WORDS], "--at")
    if words[0] != "resume" or {"-h", "--help"} & set(words):
        raise typer.Exit(run_there(found, words))
    detach, quiet = ({"-d", "--detach"} & set(words), {"-q", "--quiet"} & set(words))
    controller = Controller(
        address=found,
        job_id=f"sweep-resume-{secrets.token_hex(4)}",
        request=request_of(
            [word for word in without(words, "--runs-dir") if word not in {"-d", "--detach", "-q", "--quiet"}],
            runs_dir=value_of(words, "--runs-dir"),
        ),
    )
    raise typer.Exit(control(controller, detach=bool(detach), quiet=bool(quiet)))


def without(words: Sequence[str], option: str) -> list[str]:
    """Return a command's words without an option and its value; behind ``--`` there are no options."""
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            return [*kept, word, *rest]
        if word == option:
            next(rest, None)
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return kept


def value_of(words: Sequence[str], option: str) -> str | None:
    """Return the value that an option has among a command's words; None where it is not there."""
    found = None
    for word, following in zip(words, [*words[1:], None], strict=True):
        if word == "--":
            break
        found = following if word == option else word.partition("=")[2] if word.startswith(f"{option}=") else found
    return found


AtOption = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="ADDRESS",
        is_eager=True,
        callback=_act,
        help="Do it on the head of a cluster elsewhere: see `sweep submit`.",
    ),
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="ADDRESS",
        help="Of a sweep on the head of a cluster elsewhere, which is fetched for that: see `sweep fetch`.",
    ),
]
"""For commands that show here what lies there."""
