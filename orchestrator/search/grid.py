"""Every combination of listed values once, in W&B's order or shuffled."""

from collections.abc import Sequence

from orchestrator.search.permutation import Permutation
from orchestrator.search.protocol import Config, Observation, Outcome, Pending
from orchestrator.space import Grid, SearchSpace


class GridSearch:
    """Offers the first point of the grid that no trial has tried.

    What was tried decides, not `number`: a trial that the caller leaves out of the observations is offered again. A
    prior sweep's failures do not count as tried.
    """

    def __init__(self, space: SearchSpace, *, shuffle_seed: int | None) -> None:
        """Args: `shuffle_seed` orders the points at random; None keeps W&B's order."""
        self._grid = Grid.of(space)
        self._order = range(self._grid.size) if shuffle_seed is None else Permutation(self._grid.size, shuffle_seed)
        self._positions: dict[int, tuple[Config, int | None]] = {}

    def suggest(
        self,
        number: int,  # noqa: ARG002 - what was tried decides
        observations: Sequence[Observation],
        pending: Sequence[Pending],
    ) -> Config | None:
        """Return the next point, None when each has been tried."""
        trials: list[Observation | Pending] = [*pending]
        trials += [o for o in observations if o.number >= 0 or o.outcome is not Outcome.FAILED]
        tried = {self._position(trial) for trial in trials}
        return next((self._grid[i] for i in self._order if i not in tried), None)

    def _position(self, trial: Observation | Pending) -> int | None:
        """Return a trial's point, None when its config is not on the grid."""
        config, position = self._positions.get(trial.number, (None, None))
        if config is not trial.config:
            position = self._grid.index(trial.config) if trial.config in self._grid else None
            self._positions[trial.number] = (trial.config, position)
        return position
