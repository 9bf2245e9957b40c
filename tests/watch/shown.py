"""A sweep as it may stand, fixed for what is drawn of it."""

from dataclasses import replace

from orchestrator.diagnosis.model import Flag, Issue
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.trial.contract.events import Cause
from orchestrator.watch.progress import Progress, RunningTrial, TrialEnded

CONFIG = {"lr": 0.000434498, "batch_size": 16, "dropout": 0.3145, "optimizer": {"name": "adamw", "betas": [0.9, 0.999]}}


def a_trial(number, state=TrialState.FINISHED, value=0.9, **fields):
    return TrialRecord(number=number, config=CONFIG, state=state, attempt=0, value=value, score=value, **fields)


def ended(number, state=TrialState.FINISHED, value=0.9, *, done=None, total=20, took_s=12.0, **fields):
    trial = a_trial(number, state, value, **fields)
    done = number + 1 if done is None else done
    path = f"/runs/digits-k3x9w2ab/trials/{number:04d}/output.log"
    return TrialEnded(trial=trial, took_s=took_s, log_path=path, done=done, total=total)


ENDED = [
    ended(6),
    ended(
        7, TrialState.FAILED, None, cause=Cause.OUT_OF_MEMORY, error="OutOfMemoryError: CUDA out of memory. Tried 2 GiB"
    ),
    ended(8, TrialState.STOPPED, 0.41, reason="0.41 at row 3 is not among the best third (0.87) of 9 trials"),
    ended(9, TrialState.CANCELED, None, reason="canceled"),
    ended(10, TrialState.FAILED, 0.3, cause=Cause.FAILED, error="ValueError: \x1b[31mbad\x1b[0m lr"),
]


def running(number, **fields):
    values = [0.1, 0.4, 0.35, 0.6, 0.7, 0.75, 0.8]
    base = RunningTrial(
        number=number, config=CONFIG, elapsed_s=42.0, n_reports=7, values=values, host="box", gpu_ids=(str(number % 4),)
    )
    return replace(base, **fields)


PROGRESS = Progress(
    name="digits",
    sweep_id="k3x9w2ab",
    metric="valid_accuracy",
    total=20,
    finished=6,
    stopped=1,
    failed=2,
    pending=1,
    elapsed_s=252.0,
    eta_s=431.0,
    slots=4,
    best=a_trial(5, value=0.94722),
    best_history=[0.56, 0.71, 0.78, 0.82, 0.86, 0.91, 0.947],
    running=[
        running(11, flags=(Flag(issue=Issue.PLATEAU, evidence="flat since row 3"),)),
        running(12, n_reports=0, values=[], elapsed_s=1.2),
        running(13, ending="interrupted"),
        running(14, values=[0.5, float("nan"), 0.4], n_reports=1234567),
    ],
)
