"""How commands bring a sweep here from its copy in a store."""

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import typer

from orchestrator.cli.heads import here_already, teller
from orchestrator.errors import StorageError, SweepError
from orchestrator.layout import SweepDir
from orchestrator.remote import stored
from orchestrator.remote.fetching import Fetched, Receiver, have
from orchestrator.remote.sending import Wanted
from orchestrator.spec import storage_urls
from orchestrator.storage.ownership import marks, owner_of, refuse_living, remember
from orchestrator.storage.store import Store


def fetched(url: str, runs: Path, asked: Wanted, *, quiet: bool, is_to_resume: bool = False) -> Fetched:
    """Bring what is asked for from the copy that a URL names, or of the sweep below it that `asked` names.

    Args:
        url: The copy, or where copies are.
        runs: The directory here to put the sweep's directory in.
        asked: What is asked for; what is here of it is found out here.
        quiet: Whether to show no progress.
        is_to_resume: Whether the sweep is to go on here: then no controller may live elsewhere, and what is here may be newer.

    Raises:
        SweepError: It cannot be had. What has come stays, and the next time goes on from there.
    """
    wrong = storage_urls.fault(url)
    if wrong is not None:
        raise SweepError(f"the address of the copy {wrong}")
    place = stored.place_at(url, asked.sweep)
    owner = owner_of(place.store)
    if is_to_resume:
        refuse_living(place.store)
        here = SweepDir(runs / place.name)
        is_ours = owner is not None and marks(here, place.store.url).get(owner.mark, False)
        if is_ours and here.ledger_path.exists():
            return Fetched(path=here.path.absolute(), is_done=True)
    here_path = here_already(runs, place.name)
    asked = replace(asked, name=place.name, have={} if here_path is None else have(here_path))
    receiver = Receiver(runs, teller(quiet=quiet))
    try:
        stored.send(asked, place, receiver.feed)
        if is_to_resume:
            _refuse_partial(receiver.fetched, url)
            if owner is not None:
                remember(SweepDir(receiver.fetched.place), place.store.url, {owner.mark: False})
    finally:
        receiver.close()
        if not quiet and sys.stderr.isatty():
            typer.echo("\r\x1b[K", nl=False, err=True)
    return receiver.fetched


def to_resume(url: str, runs: Path, *, quiet: bool) -> tuple[SweepDir, str]:
    """Bring a sweep here that is to go on here; return its directory, and where its copy goes on being kept.

    Raises:
        SweepLockedError: A controller lives elsewhere that keeps the copy.
        SweepError: It cannot be had.
    """
    asked = Wanted(sweep="last", have={})
    found = fetched(url, runs, asked, quiet=quiet, is_to_resume=True)
    kept_at = url.rstrip("/")
    is_its_own = kept_at.endswith(f"/{found.place.name}")
    return SweepDir(found.place), kept_at.rpartition("/")[0] if is_its_own else kept_at


def refuse_elsewhere(sweep_dir: SweepDir, url: str | None) -> None:
    """Make sure that no controller elsewhere goes on with a sweep that lies here; a store that is away says nothing of it.

    Args:
        sweep_dir: The sweep.
        url: Where its copy is kept, in a directory of the sweep's name; None for nowhere.

    Raises:
        SweepLockedError: One keeps the copy, and lives.
    """
    if url is None:
        return
    with suppress(StorageError):
        store = Store(url).below(sweep_dir.path.name)
        owner = owner_of(store)
        if owner is not None and owner.mark not in marks(sweep_dir, store.url):
            refuse_living(store)


def _refuse_partial(fetched: Fetched, url: str) -> None:
    """Make sure that all of a copy came: what did not would be removed there."""
    if fetched.changed or not fetched.is_done:
        what = f"{fetched.changed[0]} changed meanwhile" if fetched.changed else "it broke off"
        raise SweepError(f"not all of {url} came: {what}.\n  The same command goes on.")
