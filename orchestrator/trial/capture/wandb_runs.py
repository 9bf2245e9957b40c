"""The W&B runs of a trial's process: what each is to the trial, and which of the trial's are open."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from orchestrator.trial.capture.own_run import Kind
from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.contract.sweep_identity import run_id


class TrialRuns:
    """Every W&B run that a trial's process has.

    Attributes:
        is_synced: Whether the program asked W&B to take its values from TensorBoard.
    """

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._runs: list[Any] = []
        self._kinds: dict[int, Kind] = {}
        self._over: set[int] = set()
        self.is_synced = False

    def add(self, run: Any, kind: Kind) -> None:
        """Take in a run that was opened."""
        self._kinds[id(run)] = kind
        self._runs.append(run)

    def has(self, run: Any) -> bool:
        """Whether a run is known."""
        return any(run is known for known in self._runs)

    def all(self) -> list[Any]:
        """Every run of this process, in order."""
        return list(self._runs)

    def kind(self, run: Any) -> Kind:
        """What a run is to the trial; one that another process opened is known by its id."""
        found = self._kinds.get(id(run))
        if found is None:
            known = getattr(getattr(run, "_settings", None), "run_id", None) or getattr(run, "_attach_id", None)
            found = Kind.OWN if known == run_id(self._launch) else Kind.OTHER
        return found

    def is_recorded(self, run: Any) -> bool:
        """Whether a run is more than a run that is switched off."""
        return self._launch.wandb is not None and not getattr(run, "disabled", False)

    @property
    def own_name(self) -> str:
        """How the trial's run is named to a person."""
        return f"those of {run_id(self._launch)!r}"

    def own(self) -> list[Any]:
        """The trial's own, and those that are switched off."""
        return [run for run in self._runs if self._kinds.get(id(run)) is not Kind.OTHER]

    def live(self) -> list[Any]:
        """Those of them that are open."""
        return [run for run in self.own() if not self._is_over(run)]

    def known_open(self) -> list[Any]:
        """The runs that W&B knows to be open: of one that the program disabled it knows nothing."""
        return [run for run in self._runs if self.kind(run) is not Kind.DISABLED and not self._is_over(run)]

    def end(self, run: Any) -> None:
        """Note that a run is over; one that is switched off does not say so itself."""
        self._over.add(id(run))

    def _is_over(self, run: Any) -> bool:
        return id(run) in self._over or is_finished(run)


def next_step(run: Any) -> int:
    """Return the step of the row that a run logs to next; asking `run.step` would be a journey to the core and back."""
    for name in ("_local_step", "_step"):  # since 0.26, and before
        found = getattr(run, name, None)
        if isinstance(found, int):
            return found
    return 0


def is_finished(run: Any) -> bool:
    """Whether a run is over."""
    return bool(getattr(run, "_is_finished", False))


def is_offline(run: Any) -> bool:
    """Whether a run is recorded for later, as wandb itself asks."""
    return bool(getattr(getattr(run, "_settings", None), "_offline", False))


def places(wandb: ModuleType, *names: str) -> list[Any]:
    """Return the modules that hold a name of wandb's front door, as far as there are."""
    found = [wandb]
    for name in names:
        place: Any = wandb
        for part in name.split("."):
            place = getattr(place, part, None)
        found += [place] if isinstance(place, ModuleType) else []
    return found


def refusal() -> type[Exception]:
    """What `wandb.init` raises when its core refuses a run."""
    import wandb

    try:
        from wandb.sdk.mailbox.mailbox_handle import ServerResponseError
    except ImportError:  # before 0.24
        return getattr(wandb.errors, "CommError", RuntimeError)
    found: type[Exception] = ServerResponseError
    return found
