"""`sweep sync`: send a sweep's runs to W&B, as one sweep there; or what is not in its second copy yet."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.naming import sweep_named
from orchestrator.cli.options import RunsDirOption, SweepArgument
from orchestrator.errors import ExitCode, SweepError
from orchestrator.printable import clean

if TYPE_CHECKING:
    from orchestrator.layout import SweepDir
    from orchestrator.ledger.records import SweepRecord, TrialRecord
    from orchestrator.ledger.store import Ledger
    from orchestrator.upload.uploads import Standing

GIVE_UP_S = 60.0
"""How long a server may refuse to take anything before the command gives up."""

LINE_EVERY_S = 5.0
"""How often a line is printed where it cannot be drawn over."""

STILL_S = 60.0
"""A run that was written to this recently, by a trial that had no end, is not touched: its node may not have noticed."""


def sync(
    sweep: SweepArgument = "last",
    project: Annotated[str | None, typer.Option(help="W&B project. Default: the spec's, else WANDB_PROJECT.")] = None,
    entity: Annotated[str | None, typer.Option(help="W&B user or team. Default: the spec's, else yours.")] = None,
    storage: Annotated[
        bool, typer.Option("--storage", help="Send to the sweep's second copy (run --storage) instead.")
    ] = False,
    runs_dir: RunsDirOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the progress as JSON lines.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print the sweep's address alone.")] = False,
) -> None:
    """Send the runs that are not on the W&B server yet, as one sweep there. Run it again after an interruption."""
    from orchestrator.ledger.curves import objectives_of
    from orchestrator.ledger.store import Ledger
    from orchestrator.spec import load_recorded

    sweep_dir = sweep_named(sweep, runs_dir)
    with Ledger.open(sweep_dir) as ledger:
        record = ledger.sweep.record
        spec = load_recorded(record.spec_text)
        if storage:
            _send_copy(sweep_dir, spec.options.storage, as_json=as_json, quiet=quiet)
            return
        ledger.load(objectives_of(spec))
        _refuse_another_place(record, project, entity)
        progress = _Progress(as_json=as_json, quiet=quiet and not as_json)
        code = _send(sweep_dir, ledger, project=project, entity=entity, progress=progress)
    if code is not ExitCode.DONE:
        raise typer.Exit(code)


def _send_copy(sweep_dir: "SweepDir", url: str | None, *, as_json: bool, quiet: bool) -> None:
    """Send what is not in the sweep's second copy yet.

    Raises:
        SweepError: It has none, or not all of it is there.
    """
    from orchestrator.cli import stores
    from orchestrator.storage.beside import StorageBeside
    from orchestrator.storage.store import check_extra
    from orchestrator.watch.ending import on_sweep

    if url is None:
        raise SweepError(
            f"sweep {sweep_dir.sweep_id} has no second copy.\n  `sweep resume --storage URL` gives it one, also when it is over."
        )
    check_extra(url)
    stores.refuse_elsewhere(sweep_dir, url)

    def say(text: str) -> None:
        if as_json:
            _json("storage", text=text)
        elif not quiet:
            typer.echo(clean(text), err=True)

    with closing(StorageBeside(sweep_dir, url, say=say, later=f"{on_sweep('sync', sweep_dir)} --storage")) as copy:
        copy.begin()
        try:
            standing = copy.settle()
        except KeyboardInterrupt:
            raise SweepError("interrupted; the same command goes on") from None
    if not standing.is_done:
        raise SweepError(f"not all of it is at {url}: {standing.off or standing.trouble or 'it took too long'}")
    if quiet:
        typer.echo(clean(f"{url}/{sweep_dir.path.name}"))


def _send(
    sweep_dir: "SweepDir", ledger: "Ledger", *, project: str | None, entity: str | None, progress: "_Progress"
) -> ExitCode:
    from orchestrator.ledger.records import SweepState
    from orchestrator.spec import load_recorded
    from orchestrator.upload.uploads import Uploads, unsent_trials

    record, trials = ledger.sweep.record, ledger.trials()
    unsent = unsent_trials(sweep_dir, [t.number for t in trials if not _may_go_on(t, sweep_dir)])
    if not unsent:
        progress.end(_nothing_to_send(trials, record), left=0, standing=None)
        return ExitCode.DONE
    _refuse_logged_out()
    spec = load_recorded(record.spec_text)
    with closing(Uploads(sweep_dir, spec, record, project=project, entity=entity)) as uploads:
        for number in unsent:
            uploads.watch(number, ended=True, settled=True)
        keep_path = _PathKeeper(ledger)

        def look(standing: "Standing") -> None:
            keep_path(standing)
            progress.leave_out(standing.left_out)
            progress.show(standing, len(unsent))

        is_over = _giving_up(look)
        try:
            standing = uploads.settle(
                finished=record.state in {SweepState.FINISHED, SweepState.FAILED}, is_over=is_over
            )
        except KeyboardInterrupt:
            standing = uploads.standing
            progress.end("interrupted; the same command goes on", left=len(unsent) - standing.sent, standing=standing)
            return ExitCode.INTERRUPTED
        keep_path(standing)
        progress.leave_out(standing.left_out)
    left = len(unsent_trials(sweep_dir, unsent))
    if standing.off is not None and left:
        raise SweepError(f"{left} of {len(unsent)} runs are not sent: {standing.off}.{_advice(standing.off)}")
    if left:
        why = standing.trouble or "the server did not take them"
        raise SweepError(f"{left} of {len(unsent)} runs are not sent: {why}.\n  The same command goes on with them.")
    progress.end(f"{len(unsent)} runs sent: {standing.url}", left=0, standing=standing)
    return ExitCode.DONE


class _PathKeeper:
    """Writes the sweep's path on the server into the ledger as soon as it is known."""

    def __init__(self, ledger: "Ledger") -> None:
        self._ledger = ledger
        self._path = ledger.sweep.record.wandb_sweep_id

    def __call__(self, standing: "Standing") -> None:
        if standing.path is not None and standing.path != self._path:
            self._path = standing.path
            self._ledger.sweep.set_wandb_sweep(standing.path)


def _giving_up(look: Callable[["Standing"], None]) -> Callable[["Standing"], bool]:
    """Return what decides whether it is over: refused, or nothing but trouble for `GIVE_UP_S`."""
    since_s, sent = time.monotonic(), 0

    def is_over(standing: "Standing") -> bool:
        nonlocal since_s, sent
        look(standing)
        if standing.trouble is None or standing.sent > sent:
            since_s, sent = time.monotonic(), standing.sent
        return standing.off is not None or time.monotonic() - since_s > GIVE_UP_S

    return is_over


class _Progress:
    """Says how far it is: a line that is drawn over on a terminal, a line now and then elsewhere, JSON, or the address."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self._as_json = as_json
        self._quiet = quiet
        self._next_s = 0.0
        self._last = ""
        self._n_left_out = 0

    def leave_out(self, lines: tuple[str, ...]) -> None:
        """Say which files are not sent, each once."""
        for line in lines[self._n_left_out :]:
            if self._as_json:
                _json("left_out", text=line)
                continue
            over = "\r\033[K" if sys.stderr.isatty() else ""
            typer.echo(f"{over}{clean(f'not sent: {line}')}", err=True)
        self._n_left_out = len(lines)

    def show(self, standing: "Standing", total: int) -> None:
        """Show it, if that is news."""
        if self._quiet:
            return
        trouble = f" ({standing.trouble}; trying again)" if standing.trouble else ""
        line = f"{standing.sent}/{total} runs sent{trouble}"
        if line == self._last or (time.monotonic() < self._next_s and not sys.stderr.isatty()):
            return
        self._last, self._next_s = line, time.monotonic() + LINE_EVERY_S
        if self._as_json:
            _json("sync", sent=standing.sent, total=total, trouble=standing.trouble, path=standing.path)
        elif sys.stderr.isatty():
            typer.echo(f"\r\033[K{clean(line)}", err=True, nl=False)
        else:
            typer.echo(clean(line), err=True)

    def end(self, text: str, *, left: int, standing: "Standing | None") -> None:
        """Say how it ended."""
        if self._as_json:
            url = standing.url if standing else None
            _json("sync_ended", text=text, left=left, path=standing.path if standing else None, url=url)
            return
        if self._quiet:
            if standing is not None and standing.url:
                typer.echo(clean(standing.url))
            return
        if self._last and sys.stderr.isatty():
            typer.echo("\r\033[K", err=True, nl=False)
        typer.echo(clean(text))


def _json(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, "time": time.time(), **fields}), flush=True)


def _nothing_to_send(trials: "list[TrialRecord]", record: "SweepRecord") -> str:
    if record.wandb_sweep is None:
        return f"none of {len(trials)} trials recorded a W&B run"
    return f"every run is on the server already, in {record.wandb_sweep}"


def _refuse_another_place(record: "SweepRecord", project: str | None, entity: str | None) -> None:
    there = record.wandb_sweep
    if there is None or (project or there.project, entity or there.entity) == (there.project, there.entity):
        return
    raise SweepError(
        f"sweep {record.sweep_id} is on the server as {there} already; its runs belong to one sweep.\n"
        "  Leave --project and --entity out."
    )


def _refuse_logged_out() -> None:
    import os

    from orchestrator.upload.uploads import LOGGED_OUT, has_credentials

    if not has_credentials(os.environ):
        raise SweepError(f"{LOGGED_OUT} to W&B.{_advice(LOGGED_OUT)}")


def _advice(why: str) -> str:
    from orchestrator.upload.uploads import LOGGED_OUT

    if why == LOGGED_OUT or "401" in why or "403" in why:
        return "\n  Run `wandb login` (or set WANDB_API_KEY; WANDB_BASE_URL for a server of your own), then try again."
    return "\n  The same command tries again."


def _may_go_on(trial: "TrialRecord", sweep_dir: "SweepDir") -> bool:
    """Whether a trial whose controller died may still be writing: a cut-off node ends its trials after a moment."""
    from orchestrator.confined import is_file
    from orchestrator.ledger.records import TrialState

    if trial.state is not TrialState.RUNNING:
        return False
    logs = sweep_dir.trial(trial.number).wandb_log_paths()
    return any(is_file(log) and time.time() - log.stat().st_mtime < STILL_S for log in logs)
