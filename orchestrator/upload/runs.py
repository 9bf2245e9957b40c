"""Which W&B runs a trial recorded, and what of them a server has: told by what lies beside their logs."""

import contextlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from orchestrator import confined
from orchestrator.layout import SYNCED, TrialDir

NO_IDS = frozenset({"", ".", ".."})
"""What no run is called: its copy would lie in a directory of something else."""


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run of a trial and its logs, oldest first: one per attempt, or per `wandb.init` of one id."""

    run_id: str
    trial_dir: TrialDir
    logs: tuple[Path, ...]

    @property
    def sweep_dir(self) -> Path:
        """What everything that goes up must lie in."""
        return self.trial_dir.sweep.path

    @property
    def relay_dir(self) -> Path:
        """Where the copy that goes up lies meanwhile."""
        return self.trial_dir.uploads_path / self.run_id

    @property
    def is_the_trials(self) -> bool:
        """Whether it is the trial's own, or one that was opened beside it: others (folds, say) are no part of the sweep."""
        return re.fullmatch(rf"[0-9a-z]{{8}}-{self.trial_dir.path.name}(-\d+)?", self.run_id) is not None

    @property
    def is_complete(self) -> bool:
        """Whether a server has all of it."""
        return all(_mark(log).exists() for log in self.logs)

    @property
    def may_be_there(self) -> bool:
        """Whether a server may have some of it: an upload was begun, or the run was online."""
        return self.relay_dir.exists() or any(_mark(log).exists() or _is_online(log) for log in self.logs)

    def mark_complete(self) -> None:
        """Remember that a server has all of it."""
        for log in self.logs:
            confined.replace(_mark(log), b"")
        shutil.rmtree(self.relay_dir, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.relay_dir.parent.rmdir()  # the last one


def recorded_runs(trial_dir: TrialDir) -> list[RecordedRun]:
    """Return the runs of a trial, the one that began first first."""
    logs: dict[str, list[Path]] = {}
    for log in sorted(trial_dir.wandb_log_paths(), key=_began):
        run_id = log.stem.removeprefix("run-")
        if run_id not in NO_IDS:
            logs.setdefault(run_id, []).append(log)
    return [RecordedRun(run_id, trial_dir, tuple(found)) for run_id, found in logs.items()]


def attempt_of(log: Path, trial_dir: TrialDir) -> int:
    """Return the attempt that a log belongs to: the last that was launched before the log was begun."""
    begun = (log.parent / "logs").stat().st_ctime if (log.parent / "logs").exists() else log.stat().st_mtime
    return sum(marker.stat().st_mtime <= begun for marker in trial_dir.attempt_paths())


def _mark(log: Path) -> Path:
    return log.with_name(log.name + SYNCED)


def _is_online(log: Path) -> bool:
    return not log.parent.name.startswith("offline-")


def _began(log: Path) -> tuple[str, str]:
    """The time in the name of a run's directory, then what tells apart those of one second."""
    name = log.parent.name.removeprefix("offline-")
    return name[: len("run-20260101_000000")], name
