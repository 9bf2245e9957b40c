"""One attempt, as a worker gets it: plain data that crosses processes as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from orchestrator.layout import TrialDir
from orchestrator.trial.contract.text_enum import TextEnum


class ProgramKind(TextEnum):
    """How a program is executed."""

    SCRIPT = "script"  # a Python file, forked from the warm server
    MODULE = "module"  # `python -m package.module`, forked from the warm server
    OBJECT = "object"  # `package.module:object`: function, or ray.tune.Trainable class
    PICKLE = "pickle"  # a cloudpickled function in a file (notebooks, the Python API)
    COMMAND = "command"  # anything else: executed cold, without a shell


@dataclass(frozen=True)
class Program:
    """What a trial executes.

    Attributes:
        target: The script's path as it was given, the module, the object, the pickle's path or the argv[0].
        interpreter_args: Flags between the interpreter and the target, such as ``-u`` or ``-O``.
        args: What follows the target on the command line: the program's ``sys.argv[1:]``.
        reason: Why a command cannot start warm; empty for the other kinds.
    """

    kind: ProgramKind
    target: str
    interpreter_args: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class WandbRun:
    """The W&B run of a trial.

    Attributes:
        mode: ``offline`` also for runs that are uploaded beside the trial.
        sweep_id: Only an id that exists on the server; None otherwise: scripts then find the sweep's own, which is not recorded.
    """

    mode: Literal["offline", "online"]
    project: str
    run_id: str
    name: str
    group: str
    entity: str | None = None
    sweep_id: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Launch:
    """Everything needed to run one attempt of one trial.

    Attributes:
        trial: Number of the trial in its sweep, from 0.
        attempt: Number of the attempt of this trial, from 0; (trial, attempt) fences every message.
        trial_dir: Absolute directory of the trial; exists on the node when the attempt starts.
        cwd: Absolute working directory, the one the sweep was launched from.
        argv: The full command line as W&B's agent would run it, without a shell.
        config: The trial's config, nested as its author nested it.
        python: The interpreter that the program runs in; None for the one that starts it.
        env: Variables added to the worker's environment.
        metric: Name of the sweep's objective, for the hparams summary; None when the sweep has none.
        has_metric: Whether an earlier attempt reported it: one that goes on from a checkpoint may have nothing to add.
        seed: Seed of the trial's random state; drawn from the operating system when None.
        cpus: The trial's CPU share; caps OMP, MKL and torch threads.
        gpu_ids: Values for CUDA_VISIBLE_DEVICES; empty hides every GPU, None leaves the variable alone.
        gpu_share: Share of each of its GPUs that is the trial's; below 1 others run there as well.
        grace_s: Seconds between SIGTERM and SIGKILL when the attempt is stopped.
        timeout_s: Seconds after which the attempt is stopped with cause ``timed_out``; None for no limit.
        preload: Modules the warm server imports; None to find them in the program's imports.
        stop: Limits by metric name at which the trial is done, as Tune's `stop` has it.
    """

    sweep_id: str
    sweep_name: str
    trial: int
    attempt: int
    trial_dir: str
    cwd: str
    program: Program
    argv: tuple[str, ...]
    config: Mapping[str, Any]
    python: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    metric: str | None = None
    has_metric: bool = False
    wandb: WandbRun | None = None
    seed: int | None = None
    cpus: float | None = None
    gpu_ids: tuple[str, ...] | None = None
    gpu_share: float = 1.0
    grace_s: float = 30.0
    timeout_s: float | None = None
    preload: tuple[str, ...] | None = None
    gradients: Literal["on", "off"] = "on"
    stop: Mapping[str, float] = field(default_factory=dict)

    @property
    def dir(self) -> TrialDir:
        """The trial's directory, as what lies in it."""
        return TrialDir(Path(self.trial_dir))


def launch_of(data: Mapping[str, Any]) -> Launch:
    """Return the launch that `dataclasses.asdict` and JSON made of one."""
    program = dict(data["program"])
    fields = dict(data)
    lists = {name: tuple(program[name]) for name in ("interpreter_args", "args")}
    fields["program"] = Program(**{**program, **lists, "kind": ProgramKind(program["kind"])})
    if data["wandb"] is not None:
        fields["wandb"] = WandbRun(**{**data["wandb"], "tags": tuple(data["wandb"]["tags"])})
    for name in ("argv", "gpu_ids", "preload"):
        fields[name] = tuple(data[name]) if data[name] is not None else None
    return Launch(**fields)
