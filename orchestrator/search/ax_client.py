"""``scheduler: {engine: ax}``: the user's Ax client, or the one that wandb 0.31 makes of the sweep's parameters.

`optimizer` names a function that takes a `SweepInfo` and returns an `ax.Client`, or that and a terminator. wandb's own
`AxOptimizer` asks and tells the client, so that it means here what it means there; what is kept in the ledger is Ax's own
snapshot of the experiment.
"""

import copy
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from orchestrator.errors import SearchSpaceError
from orchestrator.search.protocol import (
    Config,
    Memory,
    NotYet,
    Observation,
    Outcome,
    Pending,
    Remembered,
    Row,
    Sweep,
)
from orchestrator.search.user_file import FAILURES, SweepInfo, UserFile
from orchestrator.spec.dump import to_dict
from orchestrator.spec.model import SweepSpec

TOLD = "sweep_orchestrator:told"


class AxSearch:
    """An Ax experiment, asked and told."""

    def __init__(self, spec: SweepSpec, seed: int, sweep: Sweep) -> None:
        self._spec = spec
        self._names = [metric.name for metric in spec.objectives]
        self._signs = [metric.goal.sign for metric in spec.objectives]
        self._sweep = sweep
        self.over: str | None = None
        self._indices: dict[int, int] = {}
        self._configs: dict[int, Config] = {}
        self._told: set[int] = set()
        self._anew: set[int] = set()
        self._changed = False
        with _calm():
            self._optimizer = self._make(seed)
            if sweep.rehearsal:
                self._rehearse()

    def suggest(self, number: int, observations: Sequence[Observation], pending: Sequence[Pending]) -> Config | None:
        """Return the config of trial `number`; None when Ax or the terminator says that the search is over.

        Raises:
            NotYet: Ax wants results first.
        """
        for observation in observations:
            self.tell(observation)
        if number in self._configs:
            return copy.deepcopy(self._configs[number])
        with _calm():
            if self._optimizer.should_terminate_sweep():
                self.over = "the terminator of the Ax client says that the search is over"
                return None
            found = self._optimizer.ask_n_runs(1)
        if found is None and not pending:
            raise SearchSpaceError("Ax wants results before it goes on, and no trial is running")
        if found is None:
            raise NotYet
        if not found:
            self.over = "Ax has nothing left to try"
            return None
        self._indices[number] = int(found[0].run_id)
        self._configs[number] = found[0].config.flat_dict()
        self._changed = True
        return copy.deepcopy(self._configs[number])

    def report(self, number: int, rows: Sequence[Row]) -> str | None:
        """Attach rows to the trial, and ask the client's early stopping strategy, if it has one."""
        if number not in self._indices or number in self._told or len(self._names) != 1:
            return None
        for step, value in rows:
            data = self._data(number, "running", {}, [{"_step": step, self._names[0]: value}])
            with _calm():
                self._optimizer.tell_run(self._run_id(number), data)
                pruned = self._optimizer.prune_run(self._run_id(number), data)
            self._changed = True
            if pruned:
                return f"stopped early by the Ax client at step {step}: {self._names[0]} {value:g}"
        return None

    def tell(self, observation: Observation) -> None:
        """Complete the trial, mark it as stopped early, or as failed."""
        number = observation.number
        if number in self._told:
            return
        self._told.add(number)
        values = [sign * score for sign, score in zip(self._signs, observation.scores, strict=False)]
        finished = observation.outcome is Outcome.FINISHED and len(values) == len(self._names)
        summary = dict(zip(self._names, values, strict=True)) if finished else {}
        with _calm():
            data = self._data(number, "finished" if finished else "failed", summary, [], observation.config)
            if number not in self._indices:
                self._tell_of_another(number, data)
            elif observation.outcome is Outcome.STOPPED:
                self._stop(self._indices[number])
            elif not self._is_over(self._indices[number]):
                self._optimizer.tell_run(self._run_id(number), data)
        self._changed = True

    def again(self, number: int) -> None:
        """Let the next end be that of a trial that the experiment was not asked for: one that is over stays as it ended."""
        if number in self._told:
            self._told.discard(number)
            self._begin_anew(number)

    def forget(self, number: int) -> None:
        """Fail the trial, as wandb does with one that never starts."""
        self._configs.pop(number, None)
        self._anew.discard(number)
        if number in self._indices:
            with _calm():
                self._optimizer.forget_run(self._run_id(number))
            del self._indices[number]
            self._changed = True

    def abandon(self) -> None:
        """Leave nothing behind: an experiment in memory does not."""

    def _begin_anew(self, number: int) -> None:
        self._indices.pop(number, None)
        self._anew.add(number)
        self._changed = True

    def _tell_of_another(self, number: int, data: Any) -> None:
        """Add a trial that the experiment was not asked for: of another sweep, or one of this sweep's that ran again."""
        trials = self._optimizer.client._experiment.trials  # noqa: SLF001 - no public way
        before = set(trials)
        with suppress(Exception):  # a trial of another sweep may lie outside of this one's space
            self._optimizer.tell_existing_finished_run(data)
        added = set(trials) - before
        if number in self._anew and added:
            self._indices[number] = max(added)
            self._anew.discard(number)

    def _stop(self, index: int) -> None:
        if not self._is_over(index):
            self._optimizer._finalized.add(index)  # noqa: SLF001 - as its own `prune_run` does
            self._optimizer.client.mark_trial_early_stopped(trial_index=index)

    def _is_over(self, index: int) -> bool:
        return bool(self._optimizer.client._experiment.trials[index].status.is_terminal)  # noqa: SLF001 - no public way

    def _run_id(self, number: int) -> str:
        return str(self._indices[number])

    def _data(
        self,
        number: int,
        state: str,
        summary: Mapping[str, Any],
        history: list[dict[str, Any]],
        config: Config | None = None,
    ) -> Any:
        from wandb.sdk.sweeps.run_state import RunState
        from wandb.sdk.sweeps.scheduler.optimizer import RunConfig, RunWithMetrics

        known = config if config is not None else self._configs.get(number, {})
        return RunWithMetrics(
            config=RunConfig.from_values(dict(known)),
            state=RunState(state),
            wandb_run_id=str(number),
            summary_metrics=dict(summary),
            history_metrics=history,
        )

    def remember(self) -> Memory:
        """Return which of Ax's trials each trial is (None for one that runs again), and Ax's snapshot of the experiment.

        The snapshot has a key of ours, `TOLD`: the trials that it was told of and not asked for.
        """
        if not self._changed:
            return Memory()
        self._changed = False
        with _calm():
            snapshot = self._optimizer.client._to_json_snapshot()  # noqa: SLF001 - what `save_to_json_file` writes
        snapshot[TOLD] = sorted(self._told - self._indices.keys())
        indices = self._indices | dict.fromkeys(self._anew)
        trials = {n: json.dumps({"index": index}) for n, index in indices.items() if n >= 0}
        return Memory(trials=trials, search=json.dumps(snapshot))

    def remarks(self) -> Sequence[str]:
        """Return what the user should know; nothing so far."""
        return ()

    def restore(self, memory: str | None, trials: Sequence[Remembered]) -> None:
        """Give the client the experiment that the ledger has a snapshot of."""
        if memory is None:
            return
        client, snapshot = self._optimizer.client, json.loads(memory)
        self._told.update(snapshot.pop(TOLD, ()))
        with _calm():
            kept = type(client)._from_json_snapshot(snapshot)  # noqa: SLF001 - what `load_from_json_file` reads
            client.set_experiment(kept._experiment)  # noqa: SLF001
            if kept._maybe_generation_strategy is not None:  # noqa: SLF001
                client.set_generation_strategy(kept._generation_strategy)  # noqa: SLF001
        known = client._experiment.trials  # noqa: SLF001 - there is no public way
        for trial in trials:
            if not trial.over:
                self.again(trial.number)
            if trial.record is None:
                continue
            index = json.loads(trial.record)["index"]
            if index is not None and index not in known:
                continue
            self._configs[trial.number] = copy.deepcopy(trial.config)
            is_over = index is not None and known[index].status.is_terminal
            if is_over:
                self._optimizer._finalized.add(index)  # noqa: SLF001
            if index is None or (is_over and not trial.over):
                self._begin_anew(trial.number)
            else:
                self._indices[trial.number] = index

    def _make(self, seed: int) -> Any:
        import ax
        from wandb.sdk.sweeps.scheduler.ax import AxOptimizer
        from wandb.sdk.sweeps.sweep_info import SweepInfo as WandbInfo

        info = SweepInfo.of(self._spec, self._sweep)
        file = UserFile.load(self._spec, self._sweep)
        client, terminator = (
            file.make(info, ax.Client, "an ax.Client") if file.optimizer else (self._default(seed), None)
        )
        given = {name: getattr(info, name) for name in ("id", "name", "entity", "project", "controller_run_name")}
        try:
            return AxOptimizer(client, WandbInfo(**given, config=to_dict(self._spec)), terminator)
        except ValueError as error:
            raise SearchSpaceError(f"scheduler.optimizer: {error}", where="scheduler.optimizer") from error

    def _default(self, seed: int) -> Any:
        """Return the client that wandb would make, with the sweep's seed."""
        from ax.api.client import Client
        from wandb.sdk.sweeps.scheduler.ax import configure_sweep_objective, sweep_config_to_search_space

        config = to_dict(self._spec)
        client = Client(random_seed=seed)
        try:
            client.configure_experiment(parameters=sweep_config_to_search_space(config))
            configure_sweep_objective(client, config)
        except FAILURES as error:
            raise SearchSpaceError(f"parameters: {error}", where="parameters") from error
        return client

    def _rehearse(self) -> None:
        try:
            self._optimizer.ask_n_runs(1)
        except FAILURES as error:
            raise SearchSpaceError(
                f"scheduler.engine: Ax has no first config: {type(error).__name__}: {error}", where="scheduler.engine"
            ) from error


@contextmanager
def _calm() -> Iterator[None]:
    """Keep Ax's remarks to those who call it directly out of a sweep."""
    import logging

    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
