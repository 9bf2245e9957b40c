"""The `sweep` command: its subcommands by name, and the one place where errors become exit codes.

A subcommand's module is imported only when it is the one to run, so `sweep --help` and shell completion stay instant.
"""

import atexit
import errno
import gc
import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from orchestrator.cli.elsewhere import WORDS
from orchestrator.cli.plain_values import take_plain_values
from orchestrator.cli.terminal import guard
from orchestrator.errors import ExitCode, SweepError
from orchestrator.printable import clean_lines

COMMANDS: dict[str, tuple[str, str]] = {
    # name: (module in orchestrator.cli.commands, one line of help); the function has the command's name, or that and a `_`
    "init": ("init", "Write a first spec from a script's own arguments."),
    "check": ("check", "Say whether specs can be run, and how to mend those that cannot."),
    "plan": ("plan", "Show what a sweep would run, without running it."),
    "try": ("try_", "Run one trial here and say how it went, before a sweep does."),
    "notify": ("notify", "Say who is told of a sweep's end, or send them a test."),
    "nodes": ("nodes", "Say whether each node, or this machine, is fit for trials."),
    "cluster": ("cluster", "Start Ray on machines behind ssh, keep it running, or end it."),
    "run": ("run", "Run a sweep to its end, on this machine or on a Ray cluster."),
    "submit": ("submit", "Run a sweep on a cluster that this machine is no part of."),
    "resume": ("resume", "Go on with a sweep, whatever ended it."),
    "watch": ("watch", "See and steer sweeps on the terminal: tables, logs, curves, keys."),
    "attach": ("attach", "Watch a sweep that runs, from any terminal."),
    "ls": ("ls", "List sweeps."),
    "show": ("show", "Show how a sweep went and what to do next, or one of its trials."),
    "best": ("best", "Show the best trials of a sweep, with configs to paste."),
    "compare": ("compare", "Compare sweeps or trials side by side: only what differs."),
    "export": ("export", "Write the trials for other programs, or a spec of the winners."),
    "report": ("report", "Write report.html: the whole sweep on one page."),
    "logs": ("logs", "Print what a trial printed; -f follows it."),
    "fetch": ("fetch", "Bring a sweep from a cluster elsewhere."),
    "stop": ("control", "Start no new trials; let the running ones finish. Or end some trials softly."),
    "cancel": ("control", "End the running trials now, for good, or some of them."),
    "pause": ("control", "Start no trials until `sweep unpause`."),
    "unpause": ("control", "Go on after `sweep pause`."),
    "retry": ("control", "Run trials again that are over."),
    "set": ("control", "Change the limits of a sweep that has begun."),
    "tag": ("labels", "Tag a sweep or a trial."),
    "note": ("labels", "Write a note on a sweep or a trial."),
    "rename": ("keeping", "Give a sweep another name."),
    "archive": ("keeping", "Put a sweep away: `sweep ls` lists it no more."),
    "rm": ("keeping", "Move a sweep to the trash of its runs directory."),
    "repair": ("repair", "Rebuild a damaged ledger from the trials' directories."),
    "sync": ("sync", "Send a sweep's runs to W&B, as one sweep there."),
    "serve": ("serve", "Serve live pages of all sweeps: curves, trials, logs, controls."),
    "board": ("board", "Open TensorBoard on a sweep: hyperparameters, curves, images."),
}
"""Every subcommand, in the order `sweep --help` lists them."""

FOR_MACHINES = {"_head": ("_head", "What `sweep` on another machine asks of this one.")}
"""Subcommands that nobody types."""

COMPLETION = {
    # Typer's option: our line of help
    "install_completion": "Install completion for the current shell, or the one named: --install-completion zsh.",
    "show_completion": "Show the completion script of the current shell, or of the one named.",
}
HELP = {"help_option_names": ["-h", "--help"]}
LONGEST_NAME = 300
GARBAGE = 10_000
"""How many objects are made before Python looks for cycles among them (it would after 700); at the end it does not look at all.

What a command's imports make stays. Going through it time and again was a quarter of the CPU of a short one.
"""
SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")

OF_THE_MACHINE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})
OF_THE_NAME = frozenset({errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV})
"""What the user can mend where it happens: space, quota, permissions, a path. Any other `OSError` is a bug, and shows where."""

OF_NOWHERE = frozenset({errno.ENOENT, errno.ESTALE})
NOWHERE = "the current directory: it is not there any more\n  cd into one that is, or into the new one of that name."


class LazyGroup(TyperGroup):
    """A group that imports a subcommand when it is called, not to list it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words after `sweep`. A shell named after a completion option is the one meant, whatever shell this is."""
        if args:
            option, _, joined = args[0].partition("=")
            shell = joined or next(iter(args[1:]), None)
            wanted = next((p for p in self.params if p.name in COMPLETION and option in p.opts), None)
            if wanted is not None and shell is not None:
                _complete_for(shell, ctx, wanted)
        ctx.meta[WORDS] = list(args)
        take_plain_values(self.get_params(ctx))
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return (name, command, remaining args) with the real command in place of its one-line stand-in."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        return name, _load(name) if name else stand_in, rest


class PlainCommand(TyperCommand):
    """A subcommand that is ready at once when nothing of its words needs conversion."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words after the subcommand's name."""
        take_plain_values(self.get_params(ctx))
        return super().parse_args(ctx, args)


def _complete_for(shell: str, ctx: Any, option: Any) -> None:
    """Do what a completion option does, for a shell that was named: Typer's options are flags, but it takes names too."""
    if shell not in SHELLS:
        raise typer.BadParameter(f"{shell!r} is not one of {', '.join(SHELLS)}", ctx, option)
    option.callback(ctx, option, shell)


def _load(name: str) -> Any:
    module, help_line = (COMMANDS | FOR_MACHINES)[name]
    commands = importlib.import_module(f"orchestrator.cli.commands.{module}")
    function = getattr(commands, name if hasattr(commands, name) else f"{name}_")
    single = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
    single.command(name, cls=PlainCommand, short_help=help_line, context_settings=HELP)(function)
    return get_command(single)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import version

    typer.echo(f"sweep {version('sweep-orchestrator')}")
    raise typer.Exit


def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Any W&B sweep, unchanged, on your own GPUs and Ray cluster, with or without the W&B cloud."""


def build() -> LazyGroup:
    """Return the command tree."""
    app = typer.Typer(cls=LazyGroup, rich_markup_mode=None, no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback(context_settings=HELP)(_root)
    group = get_command(app)
    assert isinstance(group, LazyGroup)
    for option in group.params:
        if isinstance(option, TyperOption) and option.name in COMPLETION:
            option.help = COMPLETION[option.name]
    for name, (_, help_line) in COMMANDS.items():
        group.add_command(TyperCommand(name, help=help_line, rich_markup_mode=None))
    for name, (_, help_line) in FOR_MACHINES.items():
        group.add_command(TyperCommand(name, help=help_line, hidden=True, rich_markup_mode=None))
    return group


def _shortened(name: Any) -> str:
    """A path as an error shows it: of one that is too long for any file only the ends."""
    text = "" if name is None else str(name)
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME // 2]}...{text[-LONGEST_NAME // 2 :]}"


def _is_nowhere() -> bool:
    """Whether this process's directory was removed while somebody was in it."""
    try:
        Path.cwd()
    except OSError:
        return True
    return False


def main() -> None:
    """Run the `sweep` command and exit with one of `ExitCode`."""
    gc.set_threshold(GARBAGE)
    atexit.register(gc.freeze)
    guard()
    try:
        build()(prog_name="sweep")
    except SweepError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno in OF_NOWHERE and _is_nowhere():
            print(f"error: {NOWHERE}", file=sys.stderr)
            sys.exit(ExitCode.USAGE)
        if error.errno not in OF_THE_MACHINE | OF_THE_NAME:
            raise
        print(f"error: {clean_lines(_shortened(error.filename) or 'writing')}: {error.strerror}", file=sys.stderr)
        sys.exit(ExitCode.USAGE)
