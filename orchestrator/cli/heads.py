"""What commands say to a head, and how they watch what goes on there."""

import codecs
import glob
import json
import re
import shutil
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import typer

from orchestrator.cli.terminal import write_log
from orchestrator.errors import ClusterError, SweepError, UnknownSweepError
from orchestrator.layout import FETCHED
from orchestrator.ledger.paths import find_sweep
from orchestrator.printable import clean
from orchestrator.remote.address import Address
from orchestrator.remote.fetching import Fetched, Receiver, have
from orchestrator.remote.job_head import JobHead
from orchestrator.remote.request import SEND, Request
from orchestrator.remote.sending import Wanted
from orchestrator.remote.ssh_head import SshHead
from orchestrator.reporting.wording import amount, command_line
from orchestrator.serve.access import digest_of

LOOK_S = 0.2
"""How often progress is shown."""

MOST_SAID = 20
"""Lines of a job that are kept to tell why it ended."""

FORWARD = (
    "a job serves the pages on the head's own loopback: bring its port (of the address below, which comes in some seconds)\n"
    "here as you do 8265:    ssh -N -L 6060:127.0.0.1:6060 HEAD    or    kubectl port-forward SERVICE 6060"
)
"""What is to be done where a job server is all that is known of a head."""

SERVED = re.compile(r"http://127\.0\.0\.1:\d+/")
"""The address of the pages that a job serves."""

BEGUN = re.compile(r"sweep ([0-9a-z]{8})(?: in |: )")
"""How the first line begins that a controller says of its sweep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A controller that is to run on a head.

    Attributes:
        address: The head.
        job_id: What it is called as a job.
        request: What the head is asked to do.
        stdin: What it reads.
    """

    address: Address
    job_id: str
    request: Request
    stdin: bytes | None = None


def version() -> str:
    """Return this package's version."""
    from importlib.metadata import version as version_of

    return version_of("sweep-orchestrator")


def request_of(words: Sequence[str], *, runs_dir: str | None = None, is_framed: bool = False) -> Request:
    """Return what asks a head for the command that `words` are, for the terminal here."""
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return Request(words=list(words), is_framed=is_framed, columns=columns, runs_dir=runs_dir, version=version())


def run_there(address: Address, words: Sequence[str], told: Callable[[str], str] = str) -> int:
    """Run a command of ours on a head, print here what it prints there, and return its exit code.

    Args:
        address: The head.
        words: Behind `sweep`.
        told: Makes what is printed here of what a job has printed there.

    Raises:
        SweepError: It cannot be run.
    """
    if address.is_ssh:
        return SshHead(address).interact(request_of(words), has_terminal=sys.stdin.isatty() and sys.stdout.isatty())
    out = _printer(lambda text: write_log(told(text)))
    err = _printer(lambda text: typer.echo(told(text), nl=False, err=True))
    head = JobHead(address)
    head.check()
    return head.call(request_of(words, is_framed=True), out=out, err=err)


def serve_there(
    address: Address, words: Sequence[str], port: int | None, token: str | None, *, runs_dir: str | None, quiet: bool
) -> int:
    """Let a head serve its pages on its loopback, and bring these to this machine's; return the exit code from there.

    Args:
        address: The head.
        words: What `sweep` is called with there, but for the port.
        port: Here, where ssh joins it to one there, and any that is free if it is None; else of the job there.
        token: By which a job's pages are steered, and which stays here: the head gets its digest, since others may read
            a job's words and log. None where a file there has one.
        runs_dir: Where sweeps are kept there.
        quiet: Whether the address alone is said.

    Raises:
        SweepError: It cannot be run.
    """
    if address.is_ssh:
        here = _own_port(port or 0)
        return SshHead(address).serve(
            lambda there: request_of([*words, "--port", str(there), "--reached-at", str(here)], runs_dir=runs_dir), here
        )
    if not quiet:
        typer.echo(FORWARD, err=True)
    own = [] if port is None else ["--port", str(port)]
    own += [] if runs_dir is None else ["--runs-dir", runs_dir]
    if token is None:
        return run_there(address, [*words, *own])
    own += ["--token-digest", digest_of(token)]
    return run_there(address, [*words, *own], lambda text: SERVED.sub(rf"\g<0>#token={token}", text))


def _own_port(port: int) -> int:
    """Return a port of this machine's loopback that is free; 0 is any.

    Raises:
        SweepError: It is taken, or may not be listened on.
    """
    with socket.socket() as free:
        free.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as ssh does: a connection that has ended holds nobody up
        try:
            free.bind(("127.0.0.1", port))
        except OSError as error:
            raise SweepError(
                f"cannot listen on 127.0.0.1, port {port}: {error.strerror}.\n"
                "  Choose another with --port; without it, it is any that is free."
            ) from None
        return int(free.getsockname()[1])


def fetched(address: Address, runs: Path, asked: Wanted, *, runs_dir: str | None, quiet: bool) -> Fetched:
    """Bring what is asked for from a head, as far as it is not here; return what came, and where it is.

    Args:
        address: The head.
        runs: The directory here to put the sweep's directory in.
        asked: What is asked for; what is here of it is found out here.
        runs_dir: Where sweeps are kept there.
        quiet: Whether to show no progress.

    Raises:
        SweepError: It cannot be had. What has come stays, and the next time goes on from there.
        typer.Exit: The head says why.
    """
    here = here_already(runs, asked.sweep)
    asked = replace(asked, name=None if here is None else here.name, have={} if here is None else have(here))
    receiver = Receiver(runs, teller(quiet=quiet))
    request = request_of([SEND], runs_dir=runs_dir, is_framed=not address.is_ssh)
    stdin = json.dumps(asdict(asked)).encode()
    try:
        if address.is_ssh:
            code = SshHead(address).call(request, stdin=stdin, out=receiver.feed)
        else:
            head = JobHead(address)
            head.check()
            err = _printer(lambda text: typer.echo(text, nl=False, err=True))
            code = head.call(request, stdin=stdin, out=receiver.feed, err=err)
    finally:
        receiver.close()
        if not quiet and sys.stderr.isatty():
            typer.echo("\r\x1b[K", nl=False, err=True)
    if code:
        raise typer.Exit(code)
    if not receiver.fetched.is_done:
        raise ClusterError(f"{address}: what it sent has no end; fetch again, it goes on from there")
    return receiver.fetched


def here_already(runs: Path, sweep: str) -> Path | None:
    """Return the directory here of a sweep that was fetched before; None where there is none."""
    try:
        path = find_sweep(runs, sweep).path
    except UnknownSweepError:
        begun = [path for path in runs.glob(f"*{glob.escape(sweep)}*") if (path / FETCHED).is_dir()]
        return begun[0] if len(begun) == 1 else None
    return path if (path / FETCHED).is_dir() else None


def teller(*, quiet: bool) -> Callable[[Fetched], None]:
    """Return what shows how far it is, on a terminal, a few times a second."""
    told_s = [0.0]

    def tell(fetched: Fetched) -> None:
        now_s = time.monotonic()
        if quiet or not sys.stderr.isatty() or now_s - told_s[0] < LOOK_S:
            return
        told_s[0] = now_s
        text = f"{fetched.n_new:,} files, {amount(fetched.n_bytes)}"
        typer.echo(f"\r\x1b[K{text}", nl=False, err=True)

    return tell


def control(controller: Controller, *, detach: bool, quiet: bool) -> int:
    """Start a controller there and watch it; return its exit code, or 0 for one that was left to itself.

    Raises:
        SweepError: It does not begin, or the head is gone.
    """
    watch = _by_ssh if controller.address.is_ssh else _by_job
    return watch(controller, detach=detach, quiet=quiet)


def _by_ssh(controller: Controller, *, detach: bool, quiet: bool) -> int:
    """Let a controller be a process there that no terminal holds, and attach to it from this terminal."""
    head, said = SshHead(controller.address), bytearray()
    request = replace(controller.request, words=[*controller.request.words, "-d", "-q"])
    code = head.call(request, stdin=controller.stdin, out=said.extend)
    if code:
        return code
    path = said.decode("utf-8", "replace").strip()
    if detach or quiet:
        return _leave(controller, path.rpartition("-")[2], quiet=quiet)
    return run_there(controller.address, ["attach", path])


def _runs_dir(request: Request) -> list[str]:
    return [] if request.runs_dir is None else ["--runs-dir", request.runs_dir]


def _by_job(controller: Controller, *, detach: bool, quiet: bool) -> int:
    """Let a controller be a job, and show its log."""
    head, sweep_id = JobHead(controller.address), None
    head.check()
    head.begin(controller.job_id, controller.request, controller.stdin)
    typer.echo(f"job {controller.job_id} was accepted; it starts in some seconds", err=True)
    said: deque[str] = deque(maxlen=MOST_SAID)
    try:
        for line in head.lines(controller.job_id):
            said.append(line)
            begun = BEGUN.match(line) if sweep_id is None else None
            sweep_id = begun[1] if begun else sweep_id
            if not quiet:
                typer.echo(clean(line))
            if begun and (detach or quiet):
                return _leave(controller, sweep_id, quiet=quiet)
        return head.end_of(controller.job_id, list(said))
    except KeyboardInterrupt:
        typer.echo("", err=True)
        return _leave(controller, sweep_id, quiet=quiet)
    except ClusterError as error:
        if sweep_id is None:
            raise
        back = there("attach", sweep_id, controller)
        raise ClusterError(f"{error}\n  The sweep goes on there. Come back with: {back}") from None


def there(command: str, sweep: str, controller: Controller) -> str:
    """Return the line that runs a command of ours on a sweep of a head."""
    return clean(
        command_line(["sweep", command, sweep, "--at", str(controller.address), *_runs_dir(controller.request)])
    )


def _leave(controller: Controller, sweep_id: str | None, *, quiet: bool) -> int:
    """Say how to come back to a sweep that goes on."""
    if quiet and sweep_id is not None:
        typer.echo(sweep_id)
        return 0
    named = f"sweep {sweep_id}" if sweep_id is not None else f"job {controller.job_id}"
    typer.echo(f"{named} goes on at {controller.address}, whatever becomes of this machine", err=True)
    for what, command in (("watch it", "attach"), ("how it went", "show"), ("stop it", "stop"), ("results", "fetch")):
        typer.echo(f"{what:<17} {there(command, sweep_id or 'last', controller)}", err=True)
    return 0


def _printer(write: Callable[[str], object]) -> Callable[[bytes], None]:
    """What prints bytes as text, also where a character comes in two pieces."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def print_some(data: bytes) -> None:
        write(decoder.decode(data))
        sys.stdout.flush()

    return print_some
