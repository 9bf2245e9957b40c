"""The adaptive search: spread first, then ask a model, and never try a config twice where configs can be counted."""

from collections.abc import Hashable, Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from orchestrator.search.draws import Distinct, SobolPoints
from orchestrator.search.encoding import Encoding, FloatArray
from orchestrator.search.model import Evidence, Proposer
from orchestrator.search.protocol import Config, Observation, Outcome, Pending
from orchestrator.space import SearchSpace


def n_startup(space: SearchSpace) -> int:
    """Return how many configs are spread before a model is asked: few, as it explores while it knows little."""
    return max(4, min(space.n_axes + 2, 10))


class ModelSearch:
    """Spreads the first configs by a scrambled Sobol sequence, then takes the proposals of a model.

    The spec's distributions and probabilities are the prior that the first configs follow. Trials whose config lies
    outside the space (from a prior sweep, say) teach the model nothing.
    """

    def __init__(
        self,
        space: SearchSpace,
        proposer: Proposer,
        *,
        seed: int,
        n_startup: int,
        n_objectives: int,
        allow_repeats: bool,
    ) -> None:
        self._space = space
        self._encoding = Encoding.of(space)
        self._proposer = proposer
        self._seed = seed
        self._n_startup = n_startup
        self._n_objectives = n_objectives
        self._may_repeat = allow_repeats or space.cardinality is None
        self._points = SobolPoints(space.n_axes, seed)
        self._encoded: dict[int, tuple[Config, FloatArray, Hashable]] = {}

    def suggest(self, number: int, observations: Sequence[Observation], pending: Sequence[Pending]) -> Config | None:
        """Return the config of trial `number`, None when each has been tried."""
        return self.suggest_batch(number, observations, pending, 1)[0]

    def suggest_batch(
        self, number: int, observations: Sequence[Observation], pending: Sequence[Pending], n: int
    ) -> list[Config | None]:
        """Return the configs of up to `n` trials from `number` on, all from one look at the model; None alone at the end."""
        n = min(n, self._proposer.max_batch)
        trials: list[Observation | Pending] = [*observations, *pending]
        tried = set() if self._may_repeat else {self._key(trial) for trial in trials}
        evidence = self._evidence(observations, pending)
        if self._is_startup(evidence) or self._is_exhausted(tried):
            return [self._spread(number, tried)]
        configs: list[Config | None] = []
        for x in self._proposer.propose(evidence, (self._seed, number), n):
            config = self._encoding.decode(x)
            key = self._space.key(config)
            if self._may_repeat or key not in tried:
                configs.append(config)
                tried.add(key)
            if len(configs) == n:
                break
        return configs or [self._spread(number, tried)]

    def _is_startup(self, evidence: Evidence) -> bool:
        n_known = len(evidence.x)
        # With many trials in flight the model starts once half of the first ones have told their scores.
        return n_known + len(evidence.pending) < self._n_startup or n_known < max(2, self._n_startup // 2)

    def _is_exhausted(self, tried: AbstractSet[Hashable]) -> bool:
        cardinality = self._space.cardinality
        return not self._may_repeat and cardinality is not None and len(tried) >= cardinality

    def _spread(self, number: int, tried: AbstractSet[Hashable]) -> Config | None:
        if self._may_repeat:
            return self._space.config(self._points(number))
        return Distinct(self._space, self._points, taken=tried, seed=self._seed).config(0)

    def _evidence(self, observations: Sequence[Observation], pending: Sequence[Pending]) -> Evidence:
        usable = [o for o in observations if len(o.scores) == self._n_objectives and o.outcome is not Outcome.FAILED]
        scored = [o for o in usable if not np.isnan(self._features(o)).any()]
        return Evidence(
            x=self._stack(scored),
            scores=np.array([o.scores for o in scored], dtype=np.float64).reshape(len(scored), self._n_objectives),
            failed=self._stack([o for o in observations if o.outcome is Outcome.FAILED]),
            pending=self._stack(pending),
        )

    def _stack(self, trials: Sequence[Observation | Pending]) -> FloatArray:
        rows = [self._features(trial) for trial in trials]
        usable = [row for row in rows if not np.isnan(row).any()]
        return np.array(usable, dtype=np.float64).reshape(len(usable), self._space.n_axes)

    def _features(self, trial: Observation | Pending) -> FloatArray:
        return self._known(trial)[1]

    def _key(self, trial: Observation | Pending) -> Hashable:
        return self._known(trial)[2]

    def _known(self, trial: Observation | Pending) -> tuple[Config, FloatArray, Hashable]:
        """Return a trial's config, features and identity, kept for as long as the config is the same object."""
        known = self._encoded.get(trial.number)
        if known is None or known[0] is not trial.config:
            known = (trial.config, self._encoding.encode(trial.config), self._space.key(trial.config))
            self._encoded[trial.number] = known
        return known
