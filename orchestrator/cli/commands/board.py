"""`sweep board`: TensorBoard on a sweep, while it runs or later."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from orchestrator.cli.elsewhere import FromOption
from orchestrator.cli.naming import sweep_named
from orchestrator.cli.options import RunsDirOption, SweepArgument
from orchestrator.errors import SweepError
from orchestrator.printable import clean

if TYPE_CHECKING:
    from orchestrator.layout import SweepDir

RELOAD_S = 5

EVENTS = "tfevents"
"""What TensorBoard takes for its files has this in its name."""

LOOK_S = 20.0
"""How long files that are left out are looked for; they are left out all the same."""

MOST_NAMED = 5
"""Files that are left out which are named."""


def board(
    sweep: SweepArgument = "last",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port on this machine. Default: 6006 or the next free one.")
    ] = None,
    all_sweeps: Annotated[bool, typer.Option("--all", help="Show every sweep of the runs directory.")] = False,
    runs_dir: RunsDirOption = None,
    at: FromOption = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print the address alone.")] = False,
) -> None:
    """Open TensorBoard on a sweep: every trial's hyperparameters, curves and whatever else its script logged.

    It listens on this machine alone; from elsewhere, forward the port: `ssh -L 6006:localhost:6006 HOST`.
    """
    from orchestrator.extras import need
    from orchestrator.ledger.paths import FORMER_RUNS_DIR
    from orchestrator.ledger.paths import runs_dir as runs_dir_of

    need("tensorboard", "sweep board")
    if at is not None:
        logdir = _fetched(at, sweep, runs_dir, quiet=quiet)
    elif all_sweeps:
        runs = runs_dir_of(runs_dir)
        logdir = runs if runs.is_dir() else Path(FORMER_RUNS_DIR)
    else:
        sweep_dir = sweep_named(sweep, runs_dir)
        logdir = sweep_dir.path
        _describe(sweep_dir)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # what a script put into the background stays
        signal.signal(signal.SIGINT, _end_once)
    _name_left_out(logdir)
    try:
        server = _server(logdir, port)
        url = server.get_url()
        if quiet:
            typer.echo(url)
        else:
            typer.echo(f"TensorBoard shows {logdir} at {url}", err=True)
            typer.echo(f"hyperparameters: {url}#hparams    curves: {url}#timeseries    Ctrl-C ends it", err=True)
        server.serve_forever()
    except KeyboardInterrupt:
        typer.echo("", err=True)


def _fetched(at: str, sweep: str, runs_dir: Path | None, *, quiet: bool) -> Path:
    """Bring a sweep here, without its checkpoints, and say what that is worth."""
    from orchestrator.cli.heads import fetched
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.remote.address import parse_address
    from orchestrator.remote.sending import Wanted

    there = None if runs_dir is None else str(runs_dir)
    wanted = Wanted(sweep=sweep, with_checkpoints=False, have={})
    path = fetched(parse_address(at), runs_dir_of(None), wanted, runs_dir=there, quiet=quiet).place
    if not quiet:
        again = clean(f"sweep fetch {path.name.rpartition('-')[2]} --no-checkpoints --at {at}")
        typer.echo(f"as it is now; TensorBoard shows more of it after: {again}", err=True)
    return path


def _end_once(*_: object) -> NoReturn:
    """Whoever presses Ctrl-C again while the server ends does not make that a failure."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _describe(sweep_dir: "SweepDir") -> None:
    """Let the HParams page have every metric that was reported; a running sweep sees to that itself."""
    from orchestrator.ledger.lock import holder
    from orchestrator.ledger.reader import LedgerReader
    from orchestrator.reporting.experiment import Experiment
    from orchestrator.reporting.results import read_results

    if holder(sweep_dir.lock_path) is not None:
        return
    try:
        with LedgerReader(sweep_dir.ledger_path) as reader:
            results = read_results(sweep_dir, reader)
        Experiment(sweep_dir, results.spec).keep_current(results.trials)
    except (OSError, SweepError) as error:
        typer.echo(
            f"some columns may be missing: {clean(str(error))}", err=True
        )  # a directory that others may only read


def _name_left_out(logdir: Path) -> None:
    """Say which files TensorBoard will not get: a pipe or a device would stall it, a link leads to files of the reader."""
    found = list(_odd_entries(logdir))
    for line in found[:MOST_NAMED]:
        typer.echo(f"warning: left out: {clean(line)}", err=True)
    if len(found) > MOST_NAMED:
        typer.echo(f"warning: left out: {len(found) - MOST_NAMED:,} more files and directories like these", err=True)


def _odd_entries(logdir: Path) -> Iterator[str]:
    """Event files that are no files of this directory, and directories with links that lead out of it."""
    from orchestrator import confined

    until_s = time.monotonic() + LOOK_S
    for folder, directories, names in os.walk(logdir):
        linked = [Path(folder, name) for name in directories if Path(folder, name).is_symlink()]
        events = [Path(folder, name) for name in names if EVENTS in name]
        for path, check in [*((p, confined.check_directory) for p in linked), *((p, confined.check) for p in events)]:
            try:
                check(path, logdir)
            except FileNotFoundError:  # TensorBoard finds nothing either, or it went meanwhile
                continue
            except OSError as error:
                yield f"{path} {error.strerror}"
        if time.monotonic() > until_s:
            typer.echo(f"warning: {clean(str(logdir))} has too many files to look at all of them first", err=True)
            return


def _stay_inside(logdir: Path) -> None:
    """Let TensorBoard see the regular files of a directory alone, also those that come while it runs."""
    from tensorboard.backend.event_processing import io_wrapper

    from orchestrator import confined

    is_events_file = io_wrapper.IsTensorFlowEventsFile

    def is_ours(path: str) -> bool:
        return bool(is_events_file(path)) and confined.is_file(Path(path), logdir)

    def walk(top: str) -> Iterator[tuple[str, list[str]]]:
        for folder, _, names in os.walk(top):
            yield folder, [str(Path(folder, name)) for name in names]

    io_wrapper.IsTensorFlowEventsFile = is_ours
    io_wrapper.ListRecursivelyViaWalking = walk  # its own enters linked directories


def _server(logdir: Path, port: int | None) -> Any:
    """Return TensorBoard, listening.

    Raises:
        SweepError: The port is taken.
    """
    import logging
    import warnings

    warnings.simplefilter("ignore")  # TensorBoard imports what Python deprecates
    for name in ("tensorboard", "werkzeug"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from tensorboard import default, program

    _stay_inside(logdir)
    flags = ["tensorboard", "--logdir", str(logdir), "--host", "127.0.0.1", "--reload_interval", str(RELOAD_S)]
    flags += ["--load_fast", "false", "--reload_multifile", "true", "--samples_per_plugin", "hparams=0,scalars=2000"]
    flags += [] if port is None else ["--port", str(port)]
    tensorboard = program.TensorBoard(default.get_plugins())
    tensorboard.configure(flags)
    try:
        return tensorboard._make_server()  # noqa: SLF001 - `launch` would serve in a thread of its own
    except program.TensorBoardPortInUseError as error:
        raise SweepError(
            f"port {port} is taken on this machine. Choose another with --port, or leave it out."
        ) from error
    except program.TensorBoardServerException as error:
        raise SweepError(f"TensorBoard does not start: {error}") from error
