"""Why an attempt ended: from what its worker saw and what the trial left behind, to one cause and one line.

An attempt has at most one record of its end, a file in its trial's directory, and whoever writes it first decides: the
attempt itself when its program came to an end, or whoever gives it up because nobody hears of it any more. So an attempt
that runs on unseen can never succeed beside its successor.
"""

import difflib
import json
import math
import os
import re
import secrets
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.trial.bounds import LONGEST_TEXT, as_object, valid_text
from orchestrator.trial.events import Cause, Ended
from orchestrator.trial.launch import Launch
from orchestrator.trial.rows import RunEnd

LOG_FILE = "output.log"
STOPPED_EXIT = 143
"""Exit code of a Python program that was ended by SIGTERM."""

PREEMPTED = "its program had marked it as about to be preempted"
"""Why a trial runs again that called `run.mark_preempting()` and did not end with exit code 0."""

TAIL_LINES = 20
TAIL_BYTES = 16_384

LARGEST_CODE = 2**31 - 1

LONGEST_RECORD = 1 << 20
"""Bytes of an end's record; one that is longer is none."""

_OUT_OF_MEMORY = re.compile(r"OutOfMemoryError|CUDA out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED")


@dataclass(slots=True, kw_only=True)
class Ending:
    """What a worker saw of an attempt.

    Attributes:
        code: Exit code, or minus the number of the signal that ended it; None when neither is known.
        asked_s: When it was asked to end (monotonic, of its machine): infinity if never, minus infinity if nobody knows.
        timed_out: It was asked to end because its time was over.
        server_lost: The process that would have told died.
        core_lost: The W&B core that served it died while it ran.
        names: Every metric it reported.
        run_code: What the program finished its W&B run with; None when it did not.
        preempting: Whether the program marked its W&B run as about to be preempted.
        apart: Names that several `SummaryWriter`s have, and what their series are called.
        problem: Why it could not be started.
    """

    code: int | None = None
    asked_s: float = math.inf
    timed_out: bool = False
    server_lost: bool = False
    core_lost: bool = False
    names: set[str] = field(default_factory=set)
    run_code: int | None = None
    preempting: bool = False
    apart: dict[str, tuple[str, ...]] = field(default_factory=dict)
    problem: str | None = None

    @property
    def asked(self) -> bool:
        """Whether it was asked to end."""
        return self.asked_s < math.inf

    def hear(self, said: RunEnd, names: Iterable[str]) -> None:
        """Take in what the trial reported, and what it said of the end of its W&B run."""
        self.names.update(names)
        self.run_code, self.preempting = said.exit_code, said.preempting

    def ask(self) -> None:
        """Note that it is asked to end now; before anything is done about it."""
        self.asked_s = min(self.asked_s, time.monotonic())


def ended_event(launch: Launch, ending: Ending) -> Ended:
    """Return the event that tells how an attempt ended."""
    left = left_behind(Path(launch.trial_dir), launch.attempt)
    if ending.code is None and left is not None:
        ending.code = left["exit_code"]  # it came to its end before whoever would have told died
    tail = log_tail(Path(launch.trial_dir) / LOG_FILE)
    cause, error = _cause(launch, ending, left or {}, tail)
    code = ending.code
    return Ended(
        trial=launch.trial,
        attempt=launch.attempt,
        time=time.time(),
        cause=cause,
        exit_code=code if code is not None and code >= 0 else None,
        signal=-code if code is not None and code < 0 else None,
        error=None if error is None else valid_text(error, LONGEST_TEXT),
        log_tail=tail,
    )


def record_path(trial_dir: Path, attempt: int) -> Path:
    """Return where the record of an attempt's end is."""
    return trial_dir / f".end-{attempt}.json"


def leave_record(trial_dir: Path, attempt: int, record: Mapping[str, Any]) -> bool:
    """Write the record of an attempt's end, whole and once; return whether this one is it."""
    path = record_path(trial_dir, attempt)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    temporary.write_text(json.dumps(record), encoding="utf-8")
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:  # a filesystem without hard links
        return _create(path, temporary.read_bytes())
    finally:
        temporary.unlink()
    return True


def _create(path: Path, content: bytes) -> bool:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    os.write(descriptor, content)
    os.close(descriptor)
    return True


def left_behind(trial_dir: Path, attempt: int) -> dict[str, Any] | None:
    """Return the record that an attempt left of its own end; None when it came to none."""
    try:
        with record_path(trial_dir, attempt).open("rb") as file:
            data = as_object(file.read(LONGEST_RECORD))
    except OSError:
        return None
    return None if data is None or type(data.get("exit_code")) is not int else _valid(data)


def _valid(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of an end without what is of a wrong kind: a program may write into its directory what it likes."""
    kinds = {"error": str | None, "ended_s": int | float, "out_of_memory": bool, "core_lost": bool, "started": bool}
    valid: dict[str, Any] = {
        name: value for name, value in record.items() if isinstance(value, kinds.get(name, object))
    }
    if valid.get("error") is not None:
        valid["error"] = valid_text(valid["error"], LONGEST_TEXT)
    return {**valid, "exit_code": min(max(record["exit_code"], -LARGEST_CODE), LARGEST_CODE)}


def give_up(trial_dir: Path, attempt: int) -> dict[str, Any] | None:
    """Return the record that an attempt left of its own end; without one, see to it that it never leaves one."""
    if not trial_dir.is_dir():
        return None  # the attempt was never begun
    leave_record(trial_dir, attempt, {"given_up": True})
    return left_behind(trial_dir, attempt)


def log_tail(path: Path) -> tuple[str, ...]:
    """Return the last lines of a log; of a line that was drawn over (progress bars), what is seen in the end."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ()
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return tuple(line for line in lines if line.strip())[-TAIL_LINES:]


def _cause(launch: Launch, ending: Ending, left: dict[str, Any], tail: tuple[str, ...]) -> tuple[Cause, str | None]:
    if ending.problem is not None:
        return Cause.NOT_STARTED, ending.problem
    if ending.code == 0 and _is_own_end(ending, left):
        return _end_of_run(ending) if ending.run_code else _success(launch, ending)
    if ending.timed_out:
        return Cause.TIMED_OUT, f"ran longer than {launch.timeout_s:g} s"
    if ending.asked:
        return Cause.STOPPED, None
    if ending.code is None:
        return Cause.WORKER_LOST, "the process that runs trials died"
    if left.get("started") is False:
        return Cause.NOT_STARTED, left.get("error")
    return _own_failure(ending, ending.code, left, tail)


def _own_failure(ending: Ending, code: int, left: dict[str, Any], tail: tuple[str, ...]) -> tuple[Cause, str | None]:
    """What a program failed of that nobody asked to end."""
    if ending.preempting:
        return Cause.PREEMPTED, PREEMPTED
    if code < 0:
        return Cause.KILLED, f"killed by {signal_name(-code)}{_likely(-code)}"
    error = left.get("error") or _error_line(tail) or f"exit code {code}"
    if ending.core_lost or left.get("core_lost"):
        return Cause.WORKER_LOST, f"the process that keeps its W&B run died: {error}"
    if left.get("out_of_memory") or _OUT_OF_MEMORY.search(error):
        return Cause.OUT_OF_MEMORY, error
    return Cause.FAILED, error


def _end_of_run(ending: Ending) -> tuple[Cause, str | None]:
    """What it means that a program exits with 0, but finished its W&B run with another code: W&B has the run as failed."""
    if ending.preempting:
        return Cause.PREEMPTED, PREEMPTED
    return Cause.FAILED, f"the program finished its W&B run with exit code {ending.run_code}"


def _is_own_end(ending: Ending, left: dict[str, Any]) -> bool:
    """Whether a program came to its end by itself, not because it was asked to.

    One that saves on SIGTERM and exits with 0 has not done its work, and its last score is not that of a finished trial:
    only what its own record dates before the request is finished. A command leaves none; when it was asked to end, its
    exit code says nothing.
    """
    return not ending.asked or left.get("ended_s", math.inf) < ending.asked_s


def _success(launch: Launch, ending: Ending) -> tuple[Cause, str | None]:
    if launch.metric is None or (launch.metric in ending.names and launch.metric not in ending.apart):
        return Cause.FINISHED, None
    return Cause.NO_METRIC, no_metric(launch.metric, ending.names, ending.apart.get(launch.metric, ()))


def no_metric(metric: str, names: set[str], apart: Iterable[str] = ()) -> str:
    """Return one line that says which metric was missed, and which were there.

    Args:
        metric: What was missed.
        names: What was reported.
        apart: What the series are called that several writers have under the metric's name.
    """
    if apart:
        listed = " and ".join(repr(name) for name in sorted(apart))
        return f"{metric!r} is ambiguous: several SummaryWriters log it, {listed}; let `metric` name one of them"
    if not names:
        return f"never reported {metric!r}, nor any other metric"
    near = difflib.get_close_matches(metric, sorted(names), n=1, cutoff=0.5)
    listed = ", ".join(repr(name) for name in sorted(names)[:8])
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"never reported {metric!r}, but {listed}{hint}"


def signal_name(number: int) -> str:
    """Return the name of a signal, such as SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _likely(number: int) -> str:
    return " (out of memory on this machine?)" if number == signal.SIGKILL else ""


def _error_line(tail: tuple[str, ...]) -> str | None:
    """The line of a log that most likely names the error: a Python exception's, else the last."""
    named = [line for line in tail if re.match(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit)\b", line)]
    return (named or list(tail) or [None])[-1]  # type: ignore[list-item]
