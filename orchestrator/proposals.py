"""The next config, asked for ahead of need and in the background, so that a slot does not wait for the search."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from orchestrator.search.protocol import Config, Observation, Pending, Search

STALE_SHARE = 0.02
"""A proposal made before the latest results is asked anew if that costs less than this share of a trial's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the search may know when it is asked: every trial so far, ended or not."""

    number: int
    observations: Sequence[Observation]
    pending: Sequence[Pending]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A config for trial `number`; None when the space is exhausted.

    Attributes:
        n_observed: How many ended trials the search knew: with it, the ledger replays every suggestion.
        took_s: Seconds the search needed.
    """

    number: int
    config: Config | None
    n_observed: int
    took_s: float


class Proposals:
    """One search, asked from one background thread.

    An adaptive search learns from results, so a proposal made before the latest result is stale. It is asked anew when
    waiting for that costs little of what a trial costs, and used as it is otherwise. A search that does not learn
    (grid, random) costs microseconds and is asked on the spot.
    """

    def __init__(self, search: Search, *, adaptive: bool, known: Callable[[], Known]) -> None:
        self._search = search
        self._adaptive = adaptive
        self._known = known
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="search")
        self._ahead: Future[Proposal] | None = None

    def ready(self, trial_s: float | None) -> Proposal | None:
        """Return the next trial's proposal if it is ready, else None; never blocks.

        Args:
            trial_s: Typical duration of a trial in seconds, None while none has ended.

        Raises:
            Exception: Whatever the search raised.
        """
        if not self._adaptive:
            return self._ask(self._known())
        if self._ahead is None:
            self.ask_ahead()
        assert self._ahead is not None
        if not self._ahead.done():
            return None
        proposal = self._ahead.result()
        self._ahead = None
        known = self._known()
        if proposal.number != known.number or self._worth_asking_again(proposal, known, trial_s):
            self.ask_ahead()
            return None
        return proposal

    def ask_ahead(self) -> None:
        """Ask an adaptive search for the next trial's config in the background, unless that is under way."""
        if self._adaptive and self._ahead is None:
            self._ahead = self._thread.submit(self._ask, self._known())

    def close(self) -> None:
        """Let the thread go; a suggestion under way is thrown away."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _ask(self, known: Known) -> Proposal:
        start = time.monotonic()
        config = self._search.suggest(known.number, known.observations, known.pending)
        took_s = time.monotonic() - start
        return Proposal(number=known.number, config=config, n_observed=len(known.observations), took_s=took_s)

    def _worth_asking_again(self, proposal: Proposal, known: Known, trial_s: float | None) -> bool:
        stale = len(known.observations) > proposal.n_observed
        return stale and trial_s is not None and proposal.took_s < STALE_SHARE * trial_s
