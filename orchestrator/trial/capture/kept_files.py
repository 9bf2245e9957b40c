"""What `wandb.save` is given stays with its trial: a copy in the run's directory, where W&B has a link to one file of all trials.

The policies are W&B's: `now` is the content at the call, `end` that of the trial's end, `live` follows the file, at rows that
are logged and at the end. A trial that is killed keeps what was copied so far.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestrator.trial.capture.claims import Claims
from orchestrator.trial.capture.patching import Patch

LIVE_S = 2.0
"""How often files that are saved live are looked at."""

FICLONE = 0x40049409
"""Linux: let a file share another's blocks until one of them is changed, on filesystems that can."""


class KeptFiles:
    """Copies of saved files.

    Args:
        claims: Told what is saved.
        quietly: Does something of ours; its failure is a warning.
    """

    def __init__(self, claims: Claims, quietly: Callable[..., None]) -> None:
        self._claims = claims
        self._quietly = quietly
        self._followed: dict[Path, tuple[Path, str]] = {}
        self._due_s = 0.0

    def patches(self) -> dict[str, Patch]:
        """Return what to change in wandb."""
        return {"wandb.sdk.wandb_run": self._patch_run}

    def look(self) -> None:
        """Follow files that are saved live, once in a while."""
        if self._followed and time.monotonic() >= self._due_s:
            self._quietly(self._follow, {"live"})

    def _patch_run(self, module: ModuleType) -> None:
        self._patch_cleanup(module.Run)
        names = vars(module)
        link, unlink = names.get("link_or_copy_with_policy"), names.get("unlink_path")
        if link is None or unlink is None:
            self._patch_save(module.Run)
            return

        @functools.wraps(link)
        def keep(settings: Any, source: Path, target: Path, policy: str, stats: Any) -> Any:
            if source.is_file():
                with contextlib.suppress(OSError):  # no room for a copy
                    self._keep(source, target, policy)
                    return policy
            unlink(target)
            return link(settings, source, target, policy, stats)

        names["link_or_copy_with_policy"] = keep
        names["unlink_path"] = lambda path: unlink(path) if path.is_dir() and not path.is_symlink() else None

    def _patch_save(self, run_class: Any) -> None:
        """Before 0.22, whose `save` makes nothing but links: copies take their places."""
        original = run_class.save

        @functools.wraps(original)
        def save(run: Any, *args: Any, **kwargs: Any) -> Any:
            found = original(run, *args, **kwargs)
            policy = kwargs.get("policy", args[2] if len(args) > 2 else "live")
            for target in map(Path, found if isinstance(found, list) else ()):
                if target.is_symlink() and target.is_file():
                    self._quietly(self._keep, target.resolve(), target, policy)
            return found

        run_class.save = save

    def _keep(self, source: Path, target: Path, policy: str) -> None:
        with contextlib.suppress(OSError):
            self._claims.saved(source)
        copy(source, target)
        self._followed.pop(target, None)
        if policy != "now":
            self._claims.watch()
            self._claims.settle(source)
            self._followed[target] = (source, policy)

    def _patch_cleanup(self, run_class: Any) -> None:
        original = run_class._atexit_cleanup  # noqa: SLF001 - `finish` and the exit hook both come here

        @functools.wraps(original)
        def cleanup(run: Any, *args: Any, **kwargs: Any) -> Any:
            with contextlib.suppress(
                Exception
            ):  # capture finishes runs inside of `quietly`, which does nothing inside of itself
                self._follow({"live", "end"})
            return original(run, *args, **kwargs)

        run_class._atexit_cleanup = cleanup  # noqa: SLF001 - as above

    def _follow(self, policies: set[str]) -> None:
        """Copy what has changed since."""
        self._due_s = time.monotonic() + LIVE_S
        for target, (source, policy) in list(self._followed.items()):
            with contextlib.suppress(OSError):  # gone: what was copied stays
                if policy in policies and not _is_same(source, target) and self._claims.is_ours(source):
                    copy(source, target)
                    self._claims.settle(source)


def copy(source: Path, target: Path) -> None:
    """Copy a file, its blocks shared where the filesystem can; a reader of the target sees all of the old or of the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        if not _clone(source, temporary):
            shutil.copyfile(source, temporary)
        shutil.copystat(source, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _clone(source: Path, target: Path) -> bool:
    try:
        with source.open("rb") as old, target.open("wb") as new:
            ioctl(new, FICLONE, old.fileno())
    except OSError:
        return False
    return True


def _is_same(source: Path, target: Path) -> bool:
    one, other = source.stat(), target.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
