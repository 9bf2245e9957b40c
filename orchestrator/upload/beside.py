"""Uploads beside a running sweep: watches its events, passes them on, and adds what there is to say about W&B.

What is in the way of uploads is said once, when it begins, and once when it is over; never per trial.
"""

import os
import time
from collections.abc import Callable

from orchestrator.errors import ExitCode
from orchestrator.layout import SweepDir
from orchestrator.ledger.records import SweepRecord, TrialState
from orchestrator.ledger.store import Ledger
from orchestrator.spec import SweepSpec
from orchestrator.upload.uploads import (
    CREATE_S,
    LOGGED_OUT,
    NOT_WANTED,
    SETTLE_S,
    TROUBLED_S,
    Standing,
    Uploads,
    may_be_logged_in,
    unsent_trials,
)
from orchestrator.watch.progress import Progress, SweepEnded, SweepEvent, TrialEnded, TrialStarted

ONLINE_S = 120.0
"""How much longer the start of a sweep waits for its counterpart when trials send: a run joins a sweep when it begins."""

QUIET_S = 10.0
"""How long a trouble must last, or be over, before it is mentioned."""


class UploadsBeside:
    """Watches a sweep as a view does, and lets its runs go up if they should and its user may be logged in.

    Args:
        sweep_dir: The sweep's directory.
        spec: What it runs.
        ledger: Where the sweep's path on the server is kept.
        say: Called with what there is to say, from the controller's thread.
    """

    def __init__(self, sweep_dir: SweepDir, spec: SweepSpec, ledger: Ledger, *, say: Callable[[str], None]) -> None:
        wanted = spec.options.wandb in {"auto", "online"} and may_be_logged_in(os.environ)
        self._uploads = Uploads(sweep_dir, spec, ledger.sweep.record, wanted=wanted)
        self._is_online = spec.options.wandb == "online"
        self._ledger = ledger
        self._sweep_dir = sweep_dir
        self._tell = say
        self._until_s = time.monotonic() + CREATE_S
        self._path = self._uploads.standing.path
        self._trouble: str | None = None
        self._since_s = -1.0
        self._said_off = False
        self._n_left_out = 0

    def begin(self) -> SweepRecord:
        """Wait a moment for the sweep on the server; return the sweep's record, with its path there if it has one."""
        self._uploads.sweep_path(self._until_s)
        if self._is_online and self._uploads.standing.path is None and self._uploads.standing.off is None:
            self._wait_online()
        self._take(self._uploads.standing)
        if self._uploads.standing.off is not None:
            return self._ledger.sweep.record
        for number in unsent_trials(self._sweep_dir, [t.number for t in self._ledger.trials()]):
            state = self._ledger.trial(number).state
            if state not in {TrialState.PENDING, TrialState.RUNNING}:
                self._uploads.watch(number, ended=True, settled=True)
        return self._ledger.sweep.record

    def _wait_online(self) -> None:
        self._say(
            f"the server has not made the sweep yet; online runs join it when they begin: waiting up to {ONLINE_S:.0f} s"
        )
        if self._uploads.sweep_path(time.monotonic() + ONLINE_S) is None and self._uploads.standing.off is None:
            self._say("the server made no sweep: online runs go up without it, in a group of their own")

    def event(self, event: SweepEvent) -> None:
        """Let a trial's runs go up from its start on, and be finished with its end.

        Not in the client's online mode: there the trials send, and what they could not is sent once they are all gone.
        """
        match event:
            case TrialStarted() if not self._is_online:
                self._uploads.watch(event.number, ended=False)
            case TrialEnded() if not self._is_online:
                self._uploads.watch(event.trial.number, ended=True)
            case _:
                pass

    def refresh(self, progress: Progress) -> None:  # noqa: ARG002 - as every view's
        """Hear how uploads go."""
        self._take(self._uploads.poll())

    def settle(self, end: SweepEnded, *, interrupts: Callable[[], int]) -> None:
        """Wait a stated time for what is on its way, then say what is left; Ctrl-C ends the wait.

        Args:
            end: How the sweep ended; no trial runs any more.
            interrupts: Counts how often the user asked to stop.
        """
        if self._uploads.standing.off in {NOT_WANTED, LOGGED_OUT}:
            return
        numbers = [t.number for t in self._ledger.trials()]
        for number in unsent_trials(self._sweep_dir, numbers):
            self._uploads.watch(number, ended=True, settled=True)
        before, began_s = interrupts(), time.monotonic()
        said = False

        def is_over(standing: Standing) -> bool:
            nonlocal said
            waited_s = time.monotonic() - began_s
            limit_s = TROUBLED_S if standing.trouble or standing.path is None else SETTLE_S
            if waited_s > 1.0 and standing.open and not said:
                said = True
                self._say(f"{_runs(standing.open)} still on the way; waiting up to {limit_s:.0f} s (Ctrl-C: not now)")
            return waited_s > limit_s or interrupts() > before or standing.off is not None

        finished = end.exit_code in {ExitCode.DONE, ExitCode.NO_TRIAL_SUCCEEDED}
        standing = self._uploads.settle(finished=finished, is_over=is_over)
        self._take(standing)
        self._say_rest(standing, len(unsent_trials(self._sweep_dir, numbers)))

    def close(self) -> None:
        """End uploads; what is not there yet goes up the next time."""
        self._uploads.close()

    def _say(self, text: str) -> None:
        self._tell(f"W&B: {text}")

    def _say_rest(self, standing: Standing, left: int) -> None:
        why = standing.off or standing.trouble
        if left:
            reason = f" ({why})" if why else ""
            self._say(f"{_runs(left)} not there yet{reason}; later: sweep sync {self._sweep_dir.sweep_id}")
        elif (standing.sent or self._is_online) and standing.url:
            self._say(f"all runs are at {standing.url}")

    def _take(self, standing: Standing) -> None:
        """Keep and say what is new."""
        if standing.path is not None and standing.path != self._path:
            self._path = standing.path
            self._ledger.sweep.set_wandb_sweep(standing.path)
            self._say(f"runs appear at {standing.url}")
        if standing.off is not None and not self._said_off:
            self._said_off = True
            if standing.off not in {NOT_WANTED, LOGGED_OUT}:
                self._say(
                    f"{standing.off}. Trials go on offline; `sweep sync {self._sweep_dir.sweep_id}` sends them later"
                )
        for line in standing.left_out[self._n_left_out :]:
            self._say(f"not sent: {line}")
        self._n_left_out = len(standing.left_out)
        self._mention(standing.trouble)

    def _mention(self, trouble: str | None) -> None:
        """Say that a trouble began or is over, once it has lasted."""
        now_s = time.monotonic()
        if (trouble is None) == (self._trouble is None):
            self._since_s = -1.0
            return
        if self._since_s < 0:
            self._since_s = now_s
        if now_s - self._since_s < QUIET_S:
            return
        self._trouble, self._since_s = trouble, -1.0
        if trouble is None:
            self._say("the server takes runs again")
        else:
            self._say(
                f"the server does not take runs ({trouble}). Trials are not affected; it is tried again and again"
            )


def _runs(count: int) -> str:
    return "1 run is" if count == 1 else f"{count} runs are"
