"""What a trial saves besides metrics: files, artifacts and models, put together for `capture`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from orchestrator.trial.capture.claims import Claims
from orchestrator.trial.capture.kept_artifacts import KeptArtifacts
from orchestrator.trial.capture.kept_files import KeptFiles
from orchestrator.trial.capture.patching import Patch
from orchestrator.trial.contract.launch import Launch

RUN = "wandb.sdk.wandb_run"


class Kept:
    """Everything of it.

    Args:
        launch: The attempt.
        quietly: Does something of ours; its failure is a warning.
    """

    def __init__(self, launch: Launch, quietly: Callable[..., None]) -> None:
        self._claims = Claims(launch, quietly)
        self._files = KeptFiles(self._claims, quietly)
        self._artifacts = KeptArtifacts(launch, self._claims, quietly)

    def patches(self) -> dict[str, Patch]:
        """Return what to change in the libraries that save."""
        kinds = (self._claims, self._files, self._artifacts)
        every: list[dict[str, Patch]] = [kind.patches() for kind in kinds]
        every.append({RUN: self._patch_log})
        found: dict[str, list[Patch]] = {}
        for patches in every:
            for name, patch in patches.items():
                found.setdefault(name, []).append(patch)
        return {name: functools.partial(_all, patches) for name, patches in found.items()}

    def close(self) -> None:
        """Give up what this process holds."""
        self._claims.release()

    def forked(self) -> None:
        """In a process that the program forked."""
        self._claims.forget()

    def _patch_log(self, module: ModuleType) -> None:
        original = module.Run._log  # noqa: SLF001 - run.log, wandb.log and the integrations all pass through it

        @functools.wraps(original)
        def log(run: Any, data: Any, step: Any = None, commit: Any = None) -> Any:
            result = original(run, data=data, step=step, commit=commit)
            self._files.look()
            return result

        module.Run._log = log  # noqa: SLF001 - as above


def _all(patches: list[Patch], module: ModuleType) -> None:
    for patch in patches:
        patch(module)
