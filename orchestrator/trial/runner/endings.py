"""Why an attempt ended: from what its worker saw and what the trial left behind, to one cause and one line."""

import difflib
import math
import os
import re
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.trial.contract.bounds import LONGEST_TEXT, valid_text
from orchestrator.trial.contract.end_record import left_behind
from orchestrator.trial.contract.events import Cause, Ended
from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.contract.rows import RunEnd
from orchestrator.trial.contract.watched import PREFIX

PREEMPTED = "its program had marked it as about to be preempted"
"""Why a trial runs again that called `run.mark_preempting()` and did not end with exit code 0."""


TAIL_LINES = 20


TAIL_BYTES = 16_384


_OUT_OF_MEMORY = re.compile(r"OutOfMemoryError|CUDA out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED")


_ERROR_LINE = re.compile(
    r"[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit)\b|([^:]{1,200}: )?(fatal )?error: ", re.IGNORECASE
)
"""``ValueError: ...``, ``torch.OutOfMemoryError``, ``train.py: error: ...``, ``Error: ...``."""


@dataclass(slots=True, kw_only=True)
class Ending:
    """What a worker saw of an attempt.

    Attributes:
        code: Exit code, or minus the number of the signal that ended it; None when neither is known.
        asked_s: When it was asked to end (monotonic, of its machine): infinity if never, minus infinity if nobody knows.
        timed_out: It was asked to end because its time was over.
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
    left = left_behind(launch.dir, launch.attempt)
    if left is not None and (ending.code is None or (ending.code == -signal.SIGKILL and left["exit_code"] == 0)):
        ending.code = left["exit_code"]  # it came to its end before whoever would have told died, or it was killed
    tail = log_tail(launch.dir.log_path)
    cause, error = _cause(launch, ending, left or {}, tail)
    if launch.python is not None and error is not None and error.startswith("ModuleNotFoundError"):
        error = f"{error} in {launch.python}"  # whether that is the Python that was meant is the first question
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
    error = _error(code, left.get("error"), tail)
    if ending.core_lost or left.get("core_lost"):
        return Cause.WORKER_LOST, f"the process that keeps its W&B run died: {error}"
    if _OUT_OF_MEMORY.search(error):
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
    metric = launch.metric
    if metric is None or ((launch.has_metric or metric in ending.names) and metric not in ending.apart):
        return Cause.FINISHED, None
    return Cause.NO_METRIC, no_metric(metric, ending.names, ending.apart.get(metric, ()))


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
    names = {name for name in names if not name.startswith(PREFIX)}
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


def _error(code: int, recorded: str | None, tail: tuple[str, ...]) -> str:
    """The line that most likely names the error.

    That is what the program's own record says beyond its exit code, else the last line of its log that looks like an
    error: a Python exception's, or one such as argparse's. A command that leaves no record is taken by its last line.
    """
    bare = f"exit code {code}"
    if recorded is not None and recorded != bare:
        return recorded
    named = [line.strip() for line in tail if _ERROR_LINE.match(line)]
    if named:
        return named[-1]
    return bare if recorded is not None or not tail else tail[-1]
