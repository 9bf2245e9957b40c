"""From a config to a launch: the trial's directory, its param file, its command line and its W&B run."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator import confined, layout
from orchestrator.arguments.command import expand, needs_json_file, param_file, program_of
from orchestrator.control.code import Pinned
from orchestrator.control.pythons import Pythons, own_pythons
from orchestrator.layout import SweepDir
from orchestrator.ledger.connection import explained
from orchestrator.ledger.records import SweepRecord
from orchestrator.spec.model import SweepSpec
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind, WandbRun
from orchestrator.trial.formats.eventfile import PREFIX

BEGINNINGS = (layout.ATTEMPT, layout.END, PREFIX)
OURS = re.compile(
    "|".join(
        [re.escape(name) for name in (layout.LOG, layout.REPORTS, layout.CONFIG, layout.CONFIG_JSON, layout.LAUNCH)]
        + [re.escape(layout.WANDB), *(re.escape(beginning) + ".*" for beginning in BEGINNINGS)]
    )
)
"""What trials write into their directories by names that are known beforehand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launcher:
    """Builds the launches of one sweep; `pinned` is the copy of the project that they run from, None for itself."""

    spec: SweepSpec
    sweep: SweepRecord
    sweep_dir: SweepDir
    environ: Mapping[str, str]
    pythons: Pythons = field(default_factory=own_pythons)
    pinned: Pinned | None = None

    def launch(self, number: int, attempt: int, config: Mapping[str, Any], told: Collection[str] = ()) -> Launch:
        """Write the trial's files and return its launch; `told` names the metrics that its earlier attempts reported.

        Raises:
            ProgramError: The program does not exist.
            LedgerError: The trial's directory cannot be written.
        """
        trial_dir = self.sweep_dir.trial(number)
        with explained(trial_dir.path):
            trial_dir.path.mkdir(parents=True, exist_ok=True)
            confined.check_directory(trial_dir.path, self.sweep_dir.path)
            confined.clear_way(trial_dir.path, OURS)
            confined.replace(trial_dir.config_path, param_file(config))
            if needs_json_file(self.spec.command):
                confined.replace(trial_dir.config_json_path, json.dumps(dict(config)))
        argv = self.argv(number, config)
        function = function_of(self.spec, self.sweep_dir)
        found = self.pythons.of(config)
        program = (
            Program(kind=ProgramKind.PICKLE, target=str(function))
            if function is not None
            else program_of(argv, program=self.spec.program, cwd=self.sweep.cwd, found=found)
        )
        options = self.spec.options
        metric = self.spec.objectives[0].name if self.spec.objectives else None
        launch = Launch(
            sweep_id=self.sweep.sweep_id,
            sweep_name=self.sweep.name,
            trial=number,
            attempt=attempt,
            trial_dir=str(trial_dir.path),
            cwd=self.sweep.cwd,
            program=program,
            argv=tuple(argv),
            config=config,
            python=None if found.python.is_own else found.python.path,
            env=found.environ,
            metric=metric,
            has_metric=metric in told,
            wandb=self._wandb_run(number),
            seed=trial_seed(self.sweep.seed, number) if options.seed is not None else None,
            grace_s=options.grace_s,
            timeout_s=options.timeout_trial_s,
            preload=options.preload,
            gradients=options.gradients,
            stop=self.spec.limits,
        )
        return launch if self.pinned is None else self.pinned.moved(launch)

    def argv(self, number: int, config: Mapping[str, Any]) -> list[str]:
        """Return a trial's command line, as W&B's agent would run it; of a function from Python just its file."""
        function = function_of(self.spec, self.sweep_dir)
        if function is not None:
            return [str(function)]
        return expand(
            self.spec.command,
            program=self.spec.program,
            config=config,
            env=self.environ,
            json_file=str(self.sweep_dir.trial(number).config_json_path),
        )

    def run_id(self, number: int) -> str:
        """Return the id of a trial's W&B run: the same for every attempt."""
        return layout.run_id(self.sweep.sweep_id, number)

    def _wandb_run(self, number: int) -> WandbRun | None:
        if self.spec.options.wandb == "off":
            return None
        name, path = self.sweep.name, self.sweep.wandb_sweep
        return WandbRun(
            mode="online" if self.spec.options.wandb == "online" else "offline",
            project=path.project if path else self.spec.wandb_project(self.environ),
            entity=path.entity if path else self.spec.wandb_entity(self.environ),
            run_id=self.run_id(number),
            name=f"{name}-{number}",
            group=f"{name}-{self.sweep.sweep_id}",
            sweep_id=path.sweep_id if path else None,
        )


def function_of(spec: SweepSpec, sweep_dir: SweepDir) -> Path | None:
    """Return the file of the function that a sweep's trials run; None where its recorded spec names what they run.

    A file decides nothing: `agent()` records a spec without a program when it is given a function.
    """
    if spec.program is not None or spec.command is not None:
        return None
    return sweep_dir.function_path if confined.is_file(sweep_dir.function_path, sweep_dir.path) else None


def trial_seed(sweep_seed: int, number: int) -> int:
    """Return the seed of a trial's random state, in [0, 2^32), by the sweep's seed and the trial's number."""
    digest = hashlib.sha256(f"{sweep_seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")
