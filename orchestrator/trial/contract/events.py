"""What an attempt tells its worker, and the worker the controller: plain data, fenced by (trial, attempt)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union

from orchestrator.trial.contract.text_enum import TextEnum


class Cause(TextEnum):
    """Why an attempt ended."""

    FINISHED = "finished"  # exit code 0
    STOPPED = "stopped"  # ended early on request (stopping rule, Ctrl-C, budget)
    STOPPED_BY_USER = (
        "stopped_by_user"  # its user wanted this one trial to end; the controller says so, no worker knows
    )
    FAILED = "failed"  # its own exit code != 0
    OUT_OF_MEMORY = "out_of_gpu_memory"
    KILLED = "killed"  # by a signal nobody here sent
    NO_METRIC = "no_metric"  # exit code 0, but the sweep's metric was never reported
    TIMED_OUT = "timed_out"
    WORKER_LOST = "worker_lost"
    NODE_LOST = "node_lost"
    PREEMPTED = "preempted"
    CONTROLLER_LOST = "controller_lost"  # nobody saw its end: the process that controls the sweep died before
    NOT_STARTED = "not_started"  # the program could not be started at all

    @property
    def words(self) -> str:
        """It for people: ``out of GPU memory``."""
        return self.value.replace("_", " ").replace("gpu", "GPU")


@dataclass(frozen=True)
class Report:
    """One row of metrics a program logged, by whatever API.

    Attributes:
        index: Position in the attempt's reports, from 0.
        time: Unix time in seconds.
        step: The step the program gave, else the one that W&B counted, or None.
        metrics: Finite and non-finite floats by flat name (nested dicts are joined with '.').
        purged: Names whose values so far from `step` on are void; if that is None, all those of this attempt.
        part: Whether it is part of the row before it, or of none, and not counted: another tag of a step, a sample of gradients.
        voids: How many rows that were counted before are void by this one.
    """

    index: int
    time: float
    step: int | None
    metrics: Mapping[str, float]
    part: bool = False
    purged: tuple[str, ...] = ()
    voids: int = 0


@dataclass(frozen=True)
class Started:
    """The attempt's process exists. `cold_reason` says why it was not forked from the warm server, None when it was."""

    trial: int
    attempt: int
    time: float
    pid: int
    host: str
    gpu_ids: tuple[str, ...] = ()
    cold_reason: str | None = None


@dataclass(frozen=True)
class Reported:
    """A batch of consecutive reports, in order, never twice.

    Attributes:
        summary: What the attempt's summary has beyond its rows; it replaces what an earlier batch said.
        alerts: What the program called `wandb.alert` with, a line each.
    """

    trial: int
    attempt: int
    reports: tuple[Report, ...] = ()
    summary: Mapping[str, float] = field(default_factory=dict)
    alerts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ended:
    """The attempt is over and every report of it has been sent before this event.

    Attributes:
        exit_code: What the process exited with; None when a signal ended it or it never ran.
        signal: Number of the signal that ended it, else None.
        error: One line that says what went wrong, e.g. ``ValueError: bad lr``; None when nothing did.
        log_tail: The last lines of output.log.
    """

    trial: int
    attempt: int
    time: float
    cause: Cause
    exit_code: int | None = None
    signal: int | None = None
    error: str | None = None
    log_tail: tuple[str, ...] = field(default=())

    @property
    def run_code(self) -> int | None:
        """What its W&B run ends with: its exit code, as a shell has it for a signal; None where neither is known."""
        return self.exit_code if self.signal is None else 128 + self.signal


def likeness(cause: str, error: str | None) -> str:
    """Return what failures of one bug have in common: the error without numbers, addresses and the values of options."""
    return f"{cause}: {re.sub(r'=[^ ,;)]+|0x[0-9a-f]+|[0-9]+(?:[.][0-9]+)?(?:e[-+]?[0-9]+)?', '#', error or '')}"


TrialEvent = Union[Started, Reported, Ended]
