"""Which of a program's W&B runs is the trial's: only its rows, summary and end are the trial's result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.contract.sweep_identity import run_id
from orchestrator.trial.contract.text_enum import TextEnum


class Kind(TextEnum):
    """What a W&B run is to its trial."""

    OWN = "own"  # the sweep's run, which W&B would count as well
    OTHER = "other"  # a fold's, one beside the trial's, one of another project
    DISABLED = "disabled"  # by the program itself: another rank's, or all that there is


def kind_of(run: Any, launch: Launch, given: Mapping[str, Any], *, environ: Mapping[str, str], is_beside: bool) -> Kind:
    """Return what a run is.

    Args:
        run: What `wandb.init` returned.
        launch: The attempt.
        given: What the program gave to `wandb.init`.
        environ: The process's environment: programs take the sweep's variables out of it for runs of their own.
        is_beside: Whether another of the trial's runs was open, and this is to be one beside it (``reinit="create_new"``).
    """
    settings = getattr(run, "_settings", None)
    is_asked_disabled = _given(given, "mode") == "disabled" or environ.get("WANDB_MODE") == "disabled"
    known = environ.get("WANDB_RUN_ID") if _is_dummy(settings) else getattr(settings, "run_id", None)
    if is_beside or known != run_id(launch):
        return Kind.OTHER
    if launch.wandb is None:
        return Kind.DISABLED if _given(given, "mode") == "disabled" else Kind.OWN
    if is_asked_disabled or getattr(settings, "mode", None) == "disabled":
        return Kind.DISABLED
    is_of_sweep = bool(getattr(settings, "sweep_id", None)) or "WANDB_SWEEP_PARAM_PATH" in environ
    return Kind.OWN if is_of_sweep or getattr(settings, "project", None) == launch.wandb.project else Kind.OTHER


def _is_dummy(settings: Any) -> bool:
    """Whether a run is switched off and, as before wandb 0.27, has a made-up id, or none, whatever it was given."""
    known = getattr(settings, "run_id", "")
    return known is None or getattr(settings, "run_name", None) == f"dummy-{known}"


def shown(run: Any) -> str:
    """Return how a run is named to a person."""
    settings = getattr(run, "_settings", None)
    known, name = getattr(settings, "run_id", None), getattr(settings, "run_name", None)
    return f"{known!r} ({name})" if name and name != known else repr(known)


def _given(given: Mapping[str, Any], name: str) -> Any:
    """An argument of `wandb.init`, by itself or among its settings."""
    settings = given.get("settings")
    among = settings.get(name) if isinstance(settings, Mapping) else getattr(settings, name, None)
    return given.get(name) or among
