"""The seam between the adaptive search and what proposes points to it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from orchestrator.search.encoding import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known, in features; n, m and p may be 0.

    Attributes:
        x: [n, d] configs with scores, in order of completion.
        scores: [n, k] their scores for k objectives, lower is better, finite.
        failed: [m, d] configs that failed.
        pending: [p, d] configs that are being tried.
    """

    x: FloatArray
    scores: FloatArray
    failed: FloatArray
    pending: FloatArray


class Proposer(Protocol):
    """A model of the objective. Pure: it keeps nothing that is not a function of the arguments.

    Attributes:
        max_batch: How many proposals it gives for little more than the price of one.
    """

    max_batch: int

    def propose(self, evidence: Evidence, seed: tuple[int, int], n: int = 1) -> Iterable[FloatArray]:
        """Yield the features to try next, [d] each, best first: more than `n`, since the caller may know the first.

        Args:
            evidence: At least two configs with scores.
            seed: The sweep's seed and the trial's number, all the randomness there is.
            n: How many are to be tried together, at most `max_batch`.
        """
        ...
