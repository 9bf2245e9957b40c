"""Every combination of listed values once, in W&B's order or shuffled."""

import itertools
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
        self._points: list[int] = []
        self._tried: set[int | None] = set()
        self._latest: Observation | None = None
        self._n_known = self._n_over = 0

    def suggest(
        self,
        number: int,  # noqa: ARG002 - what was tried decides
        observations: Sequence[Observation],
        pending: Sequence[Pending],
    ) -> Config | None:
        """Return the next point, None when each has been tried."""
        self._take_in(observations)
        open_ = {self._position(trial) for trial in pending}
        while self._n_over < self._grid.size and self._point(self._n_over) in self._tried:
            self._n_over += 1
        left = (self._point(place) for place in range(self._n_over, self._grid.size))
        return next((self._grid[i] for i in left if i not in self._tried and i not in open_), None)

    def _point(self, place: int) -> int:
        while len(self._points) <= place:
            self._points.append(self._order[len(self._points)])
        return self._points[place]

    def _take_in(self, observations: Sequence[Observation]) -> None:
        """Learn what was tried: mostly what has been added since the last time, since a sweep may have many trials."""
        n = self._n_known
        if n and (len(observations) < n or observations[n - 1] is not self._latest):
            self._forget()
        for o in itertools.islice(observations, self._n_known, None):
            if o.number >= 0 or o.outcome is not Outcome.FAILED:
                self._tried.add(self._position(o))
        self._n_known = len(observations)
        self._latest = observations[-1] if observations else None

    def _forget(self) -> None:
        """Know of no trial; `_n_over` are the first points of the order that have all been tried."""
        self._tried.clear()
        self._n_known = self._n_over = 0

    def _position(self, trial: Observation | Pending) -> int | None:
        """Return a trial's point, None when its config is not on the grid."""
        config, position = self._positions.get(trial.number, (None, None))
        if config is not trial.config:
            position = self._grid.index(trial.config) if trial.config in self._grid else None
            self._positions[trial.number] = (trial.config, position)
        return position
