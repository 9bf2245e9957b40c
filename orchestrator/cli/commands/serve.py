"""`sweep serve`: live pages of all sweeps of a runs directory."""

import errno
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from orchestrator.cli.options import RunsDirOption
from orchestrator.errors import SweepError
from orchestrator.printable import clean

if TYPE_CHECKING:
    from orchestrator.serve.access import Access
    from orchestrator.serve.server import Server

LOOPBACK = "127.0.0.1"
PORT = 6060
MOST_TRIED = 20
"""Ports that are tried where none is named."""


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but this machine's own needs a token to read as well.")
    ] = LOOPBACK,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help=f"Port. Default: {PORT} or the next free one; 0 is any.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the token, which only you may read; made if it is not there. Default: SWEEP_SERVE_TOKEN, "
            "else a new one every time."
        ),
    ] = None,
    runs_dir: RunsDirOption = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="ADDRESS",
            help="Serve the sweeps on the head of a cluster elsewhere, from there: see `sweep submit`.",
            show_default=False,
        ),
    ] = None,
    token_digest: Annotated[
        str | None, typer.Option(hidden=True, help="SHA-256 of a token that only who asks for the pages has.")
    ] = None,
    reached_at: Annotated[
        int | None, typer.Option(hidden=True, help="Port of another machine that ssh joins to this one's.")
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print the address alone.")] = False,
) -> None:
    """Serve live pages of all sweeps: curves, trials, logs, controls.

    Running curves, trials, logs and comparisons are open to this machine; controls need a token, printed unless it is in a file.

    It listens on this machine alone; for sweeps that are elsewhere: `sweep serve --at ssh://HOST`.
    """
    if at is not None:
        raise typer.Exit(_there(at, host, port, token_file, runs_dir, quiet=quiet))
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.serve.access import Access, digest_of, is_loopback, new_token, token_from

    token, is_open = token_from(token_file), not is_loopback(host)
    if is_open and token is None:
        raise SweepError(
            f"--host {clean(host)} lets others in, so it needs a token that you can give them.\n"
            "  --token-file PATH makes one in a file, or set SWEEP_SERVE_TOKEN."
        )
    runs = runs_dir_of(runs_dir)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # what a script put into the background stays
        signal.signal(signal.SIGINT, _end)
    signal.signal(signal.SIGTERM, _end)
    token = token or new_token()
    access = Access(token_digest or digest_of(token), is_open)
    server = _listening(host, port, runs, access, is_joined=reached_at is not None)
    try:
        address = _address(host, reached_at or server.server_port)
        _say(
            server,
            address,
            token if token_file is None and token_digest is None else None,
            token_file,
            quiet=quiet,
        )
        server.warm()
        server.serve_forever(poll_interval=0.25)
    except KeyboardInterrupt:
        typer.echo("", err=True)
    finally:
        server.server_close()
    _leave()


def _there(at: str, host: str, port: int | None, token_file: Path | None, runs_dir: Path | None, *, quiet: bool) -> int:
    """Let a head serve, and return the exit code from there; Ctrl-C is how it ends.

    Raises:
        SweepError: It cannot be asked, or somebody else was to be let in.
    """
    from orchestrator.cli.heads import serve_there
    from orchestrator.remote.address import parse_address
    from orchestrator.serve.access import new_token, token_from

    if host != LOOPBACK:
        raise SweepError(
            f"--host {clean(host)} is about this machine; with --at it is the loopback of both: leave it out"
        )
    words = ["serve", *([] if token_file is None else ["--token-file", str(token_file)]), *(["-q"] if quiet else [])]
    there = None if runs_dir is None else str(runs_dir)
    token = None if token_file is not None else token_from(None) or new_token()
    try:
        return serve_there(parse_address(at), words, port, token, runs_dir=there, quiet=quiet)
    except KeyboardInterrupt:
        return 0


def _end(*_: object) -> NoReturn:
    """End in order; whoever asks again does not wait for that, and does not make it a failure."""
    signal.signal(signal.SIGINT, _leave)
    signal.signal(signal.SIGTERM, _leave)
    raise KeyboardInterrupt


def _leave(*_: object) -> NoReturn:
    """Leave without waiting for threads: an analysis may take minutes, and nothing that it finds is written."""
    with suppress(OSError, RuntimeError):  # nobody reads it any more, or this interrupted a write
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)


def _listening(host: str, port: int | None, runs: Path, access: "Access", *, is_joined: bool) -> "Server":
    """The server, on the port that is named or the first that is free.

    Raises:
        SweepError: It cannot listen there.
        typer.Exit: The port is taken, and who has joined it to one of another machine tries the next.
    """
    from orchestrator.remote.ssh_head import TAKEN
    from orchestrator.serve.server import Server

    tried = range(PORT, PORT + MOST_TRIED) if port is None else [port]
    for each in tried:
        try:
            return Server((host, each), runs, access)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise SweepError(f"cannot listen on {clean(host)}, port {each}: {error.strerror or error}") from error
    if is_joined:
        raise typer.Exit(TAKEN)
    which = f"port {port} is taken" if port is not None else f"ports {PORT} to {PORT + MOST_TRIED - 1} are taken"
    raise SweepError(f"{which} on {clean(host)}.\n  Choose another with --port; --port 0 is any that is free.")


def _address(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _say(server: "Server", address: str, token: str | None, token_file: Path | None, *, quiet: bool) -> None:
    """Say where the pages are, and how they are steered; a token that is None is not told here."""
    address += "" if token is None else f"#token={token}"
    if quiet:
        typer.echo(address)
        return
    typer.echo(f"sweeps of {clean(str(server.runs.resolve()))}: {address}", err=True)
    steers = "whoever has this address may steer them; without its end they may only look"
    if token_file is not None:
        steers = (
            f"to steer them, paste the token when a button asks for it: it is in {clean(str(token_file.resolve()))}"
        )
    typer.echo(f"{steers}    Ctrl-C ends it", err=True)
    if server.access.is_open:
        typer.echo("warning: it listens beyond this machine, unencrypted: others on the way can read along", err=True)
