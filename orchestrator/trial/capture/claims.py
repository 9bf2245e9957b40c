"""Which running trial writes which path outside of its directory: two that write the same one are told so.

A claim is a file in the sweep's directory, named by a hash of the path and locked for as long as the process lives, so that
nobody has to find out who is still there. Where a filesystem has no locks there are no claims.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from orchestrator.layout import TrialDir
from orchestrator.trial.capture.patching import Patch
from orchestrator.trial.contract.conflicts import add_conflict, conflicts
from orchestrator.trial.contract.launch import Launch

MOST_WRITTEN = 10_000
"""Paths that are known to be written."""

MOST = 64
"""Paths that a process claims at most; each costs a file descriptor."""

WRITERS: dict[str, dict[str, tuple[int, str]]] = {
    "torch.serialization": {"save": (1, "f")},
    "torch": {"save": (1, "f")},
    "safetensors.torch": {"save_file": (1, "filename"), "save_model": (1, "filename")},
    "safetensors.numpy": {"save_file": (1, "filename")},
    "joblib.numpy_pickle": {"dump": (1, "filename")},
    "joblib": {"dump": (1, "filename")},
    "lightning.fabric.utilities.cloud_io": {"_atomic_save": (1, "filepath")},
    "lightning_fabric.utilities.cloud_io": {"_atomic_save": (1, "filepath")},
    "lightning.fabric.plugins.io.torch_io": {"_atomic_save": (1, "filepath")},
    "lightning_fabric.plugins.io.torch_io": {"_atomic_save": (1, "filepath")},
    "keras.src.saving.saving_api": {"save_model": (1, "filepath"), "save_weights": (1, "filepath")},
}
"""Functions that write models, by module: the position and name of the argument that says where."""

OPENED = (
    ".ckpt",
    ".h5",
    ".hdf5",
    ".joblib",
    ".keras",
    ".npy",
    ".npz",
    ".onnx",
    ".pickle",
    ".pkl",
    ".pt",
    ".pth",
    ".safetensors",
)
"""How files are called whose opening to write is a claim: numpy's, what `pickle` is given. Others may be logs or caches."""


class Claims:
    """The paths that this process has written.

    Args:
        launch: The attempt.
        quietly: Does something of ours; its failure is a warning.
    """

    def __init__(self, launch: Launch, quietly: Callable[..., None]) -> None:
        self._trial = launch.trial
        self._dir = os.path.realpath(launch.trial_dir)
        self._sweep_dir = launch.dir.sweep
        self._quietly = quietly
        self._begun = time.time()
        self._held: dict[Path, IO[str]] = {}
        self._seen: set[str] = set()
        self._written: set[str] = set()
        self._is_watching = False

    def patches(self) -> dict[str, Patch]:
        """Return what to change in the libraries that write models; Python's own `open` is heard of from now on."""
        sys.addaudithook(self._audit)
        return {module: _patcher(functions, self._given) for module, functions in WRITERS.items()}

    def saved(self, path: str | os.PathLike[str]) -> None:
        """Claim a file that is handed over, if this trial wrote it: what is older (code, data) is read by all trials."""
        if os.stat(path).st_mtime >= self._begun:
            self.claim(path)

    def claim(self, path: str | os.PathLike[str]) -> None:
        """Claim a path; say so once if another trial, which still runs, has it."""
        name = os.fspath(path)
        if (
            not isinstance(name, str)
            or name in self._seen
            or len(self._held) >= MOST
            or len(self._seen) >= MOST_WRITTEN
        ):
            return
        real = os.path.realpath(name)
        is_known = real in self._seen
        self._seen.update((name, real))
        is_device = real.startswith(("/dev/", "/proc/")) and not real.startswith("/dev/shm/")  # noqa: S108
        if not is_known and not is_device and not real.startswith(self._dir + os.sep):
            self._hold(real)

    def watch(self) -> None:
        """Note from now on which files this process opens to write: which of the changes to a shared path are its own."""
        self._is_watching = True

    def settle(self, path: str | os.PathLike[str]) -> None:
        """Forget that a file was written, since it was copied after that; unless it is still being written."""
        if os.path.realpath(path) not in _open_files():
            self._written.discard(os.path.abspath(path))

    def is_ours(self, path: str | os.PathLike[str]) -> bool:
        """Whether what a file holds now is this trial's, as far as can be told."""
        real = os.path.realpath(path)
        if real.startswith(self._dir + os.sep):
            return True
        if any(shared == real and self._trial in trials for shared, trials in conflicts(self._sweep_dir)):
            return False
        return os.path.abspath(path) in self._written or self._is_alone()

    def release(self) -> None:
        """Give the paths up: this process ends."""
        for claim, file in self._held.items():
            claim.unlink(missing_ok=True)
            file.close()
        self._held.clear()

    def forget(self) -> None:
        """In a forked process: what was claimed is its parent's."""
        self._held = {}

    def _given(self, target: Any) -> None:
        if isinstance(target, (str, os.PathLike)):
            self._quietly(self._note, target)
            self._quietly(self.claim, target)

    def _note(self, path: str | os.PathLike[str]) -> None:
        self._written.add(os.path.abspath(os.fspath(path)))

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Python tells of every `open`, and of what is put in a file's place."""
        if event == "open":
            path, is_written = args[0], isinstance(args[2], int) and bool(args[2] & os.O_ACCMODE)
        elif event == "os.rename":
            path, is_written = args[1], True
        else:
            return
        if not (is_written and isinstance(path, str)):
            return
        if self._is_watching and len(self._written) < MOST_WRITTEN:
            with contextlib.suppress(OSError):  # the working directory is gone
                self._written.add(os.path.abspath(path))
        if path.endswith(OPENED):
            self._quietly(self.claim, path)

    def _is_alone(self) -> bool:
        """Whether no other trial of the sweep seems to run: one that was killed may, since it left no record of its end."""
        others = (trial for trial in self._sweep_dir.trials() if os.path.realpath(trial.path) != self._dir)
        return not any(map(_seems_to_run, others))

    def _hold(self, real: str) -> None:
        directory = self._sweep_dir.claims_path
        directory.mkdir(exist_ok=True)
        claim = directory / hashlib.sha256(real.encode(errors="surrogateescape")).hexdigest()[:24]
        file = os.fdopen(os.open(claim, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = file.read(32)
            file.close()
            if other.isdecimal() and int(other) != self._trial:
                self._complain(real, int(other))
        except OSError:
            file.close()  # no locks here
        else:
            file.truncate(0)
            file.write(str(self._trial))
            file.flush()
            self._held[claim] = file

    def _complain(self, real: str, other: int) -> None:
        add_conflict(self._sweep_dir, real, (self._trial, other))
        text = (
            f"sweep: warning: trials {other} and {self._trial} run now and both write {real!r}: the last one's content stays.\n"
            "  Write into the trial's own directory instead: $SWEEP_CHECKPOINT_DIR, or orchestrator.checkpoint_dir()"
        )
        print(text, file=sys.stderr)  # noqa: T201 - into the trial's log


def _open_files() -> set[str]:
    """The files that this process has open."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # it was closed meanwhile
            found.add(os.readlink(f"/proc/self/fd/{name}"))
    return found


def _seems_to_run(trial: TrialDir) -> bool:
    attempts = trial.attempts()
    return bool(attempts) and not trial.end_path(max(attempts)).exists()


def _patcher(functions: dict[str, tuple[int, str]], given: Callable[[Any], None]) -> Patch:
    def patch(module: ModuleType) -> None:
        for name, (position, keyword) in functions.items():
            original = vars(module).get(name)
            if callable(original) and not hasattr(original, "_sweep_watched"):
                setattr(module, name, _watched(original, position, keyword, given))

    return patch


def _watched(original: Callable[..., Any], position: int, keyword: str, given: Callable[[Any], None]) -> Any:
    @functools.wraps(original)
    def write(*args: Any, **kwargs: Any) -> Any:
        given(args[position] if len(args) > position else kwargs.get(keyword))
        return original(*args, **kwargs)

    write._sweep_watched = True  # type: ignore[attr-defined]  # noqa: SLF001 - the same function has several homes
    return write
