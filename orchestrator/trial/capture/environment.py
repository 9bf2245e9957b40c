"""What a trial finds in its environment: facts about it, and the hook that captures what the Pythons it starts log."""

from __future__ import annotations

import dataclasses
import json
import os

from orchestrator.trial.contract.launch import Launch


def variables(launch: Launch) -> dict[str, str]:
    """Return what a program may want to know about its trial, as environment variables."""
    found = {
        "SWEEP_ID": launch.sweep_id,
        "SWEEP_TRIAL_NUMBER": str(launch.trial),
        "SWEEP_TRIAL_DIR": launch.trial_dir,
        "SWEEP_CHECKPOINT_DIR": str(launch.dir.checkpoints_path),
    }
    return found if launch.seed is None else found | {"SWEEP_TRIAL_SEED": str(launch.seed)}


def write_launch(launch: Launch) -> str:
    """Write a launch for the interpreters that its trial starts, which have its variables; return the file's path."""
    path = str(launch.dir.launch_path)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(dataclasses.asdict(dataclasses.replace(launch, env={})), file, default=str)
    return path


def hook_variables(launch: Launch) -> dict[str, str]:
    """Return the variables that make every Python which a trial starts capture what it logs."""
    hook = os.path.join(os.path.dirname(__file__), "hook")
    before = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([hook, *([before] if before else [])])
    return {"SWEEP_LAUNCH": str(launch.dir.launch_path), "PYTHONPATH": path}
