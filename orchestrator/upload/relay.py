"""The copy of a run that goes up: its logs as one, under the sweep, without what the server has already.

wandb's own sync reads a `.wandb` log and sends what it says, from the row on that the server names. Given the logs of a
trial as they are, it would send every row again after an interruption, would start a run anew with each attempt, and could not
say which sweep a run belongs to that was recorded without one. So it is given this copy, which grows as the logs grow.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator import confined
from orchestrator.layout import wandb_log
from orchestrator.ledger.records import WandbSweep
from orchestrator.trial.formats.wandb_log import LogWriter, WandbLog, exit_record, step_of
from orchestrator.upload.attached import Attached
from orchestrator.upload.runs import RecordedRun, attempt_of

KILLED_EXIT = 137
"""Exit code of a run whose process left none and is gone: as if by SIGKILL."""


class Misplaced(Exception):  # noqa: N818 - says what it is
    """What would be read or written is not the sweep's; trying again does not change that."""


class Relay:
    """Writes the copy.

    A run has rows of rising steps, as W&B wants it: a later attempt's rows for steps that are there already are left out.

    Args:
        run: Its logs; more may follow.
        sweep: The sweep that the run becomes part of.
        n_there: Rows that the server has: as many of the run's first are left out.

    Raises:
        Misplaced: The copy would be written to somewhere else.
    """

    def __init__(self, run: RecordedRun, sweep: WandbSweep, n_there: int) -> None:
        directory = _emptied(run)
        self.path = directory / wandb_log(run.run_id)
        self.exit_code: int | None = None
        self.has_run = False
        self.is_closed = False
        self._writer = LogWriter(self.path)
        self._run = run
        self._sweep = sweep
        self._left_out = n_there
        self._readers: list[WandbLog] = []
        self._attempt: int | None = None
        self._floor = -1
        self._highest = -1
        self._attached = Attached(run.sweep_dir, directory / "files")

    def take_left_out(self) -> list[str]:
        """Return which files were left out since the last call, and why, a line each."""
        return self._attached.take_left_out()

    def pump(self, logs: Sequence[Path]) -> None:
        """Copy what the logs say by now.

        Raises:
            Misplaced: A log is no file, or lies outside of the sweep.
        """
        if self.is_closed:
            return
        position = max(0, len(self._readers) - 1)
        for log in logs[position:]:
            if position == len(self._readers):
                self._begin(log)
            for record in self._readers[position].read():
                self._copy(record, log)
            position += 1
        self._writer.flush()

    def close(self) -> None:
        """End the copy with the exit code of the last attempt."""
        code = KILLED_EXIT if self.exit_code is None else self.exit_code
        self._writer.write(exit_record(code))
        self._writer.close()
        self.is_closed = True

    def abandon(self) -> None:
        """Close the file: another copy will be made."""
        self._writer.close()

    def _begin(self, log: Path) -> None:
        """Turn to the next log."""
        try:
            confined.check(log, self._run.sweep_dir)
        except OSError as error:
            raise Misplaced(f"{log} {error.strerror}") from error
        self._readers.append(WandbLog(log))
        self.exit_code = None
        attempt = attempt_of(log, self._run.trial_dir)
        if attempt != self._attempt:
            self._attempt, self._floor = attempt, self._highest

    def _copy(self, record: Any, log: Path) -> None:
        match record.WhichOneof("record_type"):
            case "exit":
                self.exit_code = record.exit.exit_code
                return
            case "header" if len(self._readers) > 1:
                return
            case "history" if not self._is_due(record.history):
                return
            case "run":
                self.has_run = True
                if record.run.sweep_id or self._run.is_the_trials:
                    record.run.sweep_id = self._sweep.sweep_id
                record.run.project = self._sweep.project
                record.run.entity = self._sweep.entity
        if self._attached.admit(record, log.parent / "files"):
            self._writer.write(record)

    def _is_due(self, history: Any) -> bool:
        step = step_of(history)
        if step is not None and step <= self._floor:
            return False
        self._highest = max(self._highest, -1 if step is None else step)
        self._left_out -= 1
        return self._left_out < 0


def _emptied(run: RecordedRun) -> Path:
    """Make the directory of a run's copy, without what an earlier copy left. It stays: that it is there tells of that copy."""
    directory = run.relay_dir
    place = run.sweep_dir.resolve() / directory.relative_to(run.sweep_dir)
    try:
        if directory.resolve() != place:
            raise Misplaced(f"{directory} leads elsewhere, by a link")
        directory.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise Misplaced(f"{directory} is no directory") from error
    for leftover in directory.iterdir():
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()
    (directory / "files").mkdir()
    return directory
