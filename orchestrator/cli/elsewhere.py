"""`--at ADDRESS`: the command is not done here, but by the `sweep` of a head, with the sweeps that lie there."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

WORDS = "orchestrator.cli.words"
"""Where the main command keeps the words that it was called with."""


def _act(context: Any, address: str | None) -> None:
    """Do what the words ask for on a head, and end.

    Raises:
        typer.Exit: With the exit code from there.
    """
    if address is None or context.resilient_parsing:
        return
    import secrets

    from orchestrator.cli.heads import Controller, control, request_of, run_there
    from orchestrator.remote.address import parse_address

    found, words = parse_address(address), without(context.meta[WORDS], "--at")
    if words[0] != "resume":
        raise typer.Exit(run_there(found, words))
    words, flags = without_flags(words, {"d": "--detach", "q": "--quiet", "h": "--help"})
    if "h" in flags:
        raise typer.Exit(run_there(found, [*words, "--help"]))
    controller = Controller(
        address=found,
        job_id=f"sweep-resume-{secrets.token_hex(4)}",
        request=request_of(
            without(words, "--runs-dir"),
            runs_dir=value_of(words, "--runs-dir"),
        ),
    )
    raise typer.Exit(control(controller, detach="d" in flags, quiet="q" in flags))


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


def without_flags(words: Sequence[str], flags: Mapping[str, str]) -> tuple[list[str], set[str]]:
    """Return a command's words without some flags, and those that were there; behind ``--`` there are none.

    Args:
        words: The command's words.
        flags: Each flag's letter and long name; letters may stand together: ``-dq``.
    """
    kept: list[str] = []
    found: set[str] = set()
    letters = {name: letter for letter, name in flags.items()}
    rest = iter(words)
    for word in rest:
        if word == "--":
            return [*kept, word, *rest], found
        together = word[1:] if re.fullmatch("-[a-z]+", word) else letters.get(word, "")
        found |= set(together) & flags.keys()
        others = "".join(letter for letter in together if letter not in flags)
        if not together or others:
            kept.append(f"-{others}" if others else word)
    return kept, found


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
