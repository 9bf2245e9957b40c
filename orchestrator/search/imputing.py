"""``metric.impute`` and ``metric.impute_while_running``: what W&B's bayes search takes for the score of a trial that has none.

W&B replaces the score of every trial that failed, crashed or was stopped early: by the ``worst`` score that any trial which
has ended ever showed, by the ``best`` or by the ``latest`` one that the trial itself showed. A trial that showed nothing
scores 0. Running trials have no score, or with ``impute_while_running`` the best that they have shown so far, and what
that key says of one that has shown nothing.
"""

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.search.protocol import Config, Observation, Outcome, Pending, Search, Shown, suggest_batch
from orchestrator.spec.model import Metric

NOTHING = 0.0
"""W&B's score of a trial that showed nothing, where no other says what is bad."""


class Imputing:
    """Asks a search with the scores that a spec wants imputed."""

    def __init__(self, search: Search, objectives: Sequence[Metric]) -> None:
        self._search = search
        self._objectives = tuple(objectives)

    def suggest(self, number: int, observations: Sequence[Observation], pending: Sequence[Pending]) -> Config | None:
        """Return the config of trial `number`."""
        return self.suggest_batch(number, observations, pending, 1)[0]

    def suggest_batch(
        self, number: int, observations: Sequence[Observation], pending: Sequence[Pending], n: int
    ) -> list[Config | None]:
        """Return the configs of the trials from `number` on."""
        known, waiting = imputed(observations, pending, self._objectives)
        return suggest_batch(self._search, number, known, waiting, n)


def is_wanted(objectives: Sequence[Metric]) -> bool:
    """Return whether a spec says what to impute."""
    return any(m.impute is not None or m.impute_while_running != "false" for m in objectives)


def imputed(
    observations: Sequence[Observation], pending: Sequence[Pending], objectives: Sequence[Metric]
) -> tuple[list[Observation], list[Pending]]:
    """Return the trials as W&B's search would see them: those with an imputed score count as finished."""
    worst = [_worst(observations, index) for index in range(len(objectives))]
    known = [_ended(observation, objectives, worst) for observation in observations]
    counts = any(metric.impute_while_running != "false" for metric in objectives)
    running = [trial for trial in pending if counts and trial.running]
    shown = [
        Observation(
            number=trial.number,
            config=trial.config,
            outcome=Outcome.FINISHED,
            scores=_scores(
                trial.shown,
                [metric.impute_while_running.replace("false", "worst") for metric in objectives],
                worst,
                running=True,
            ),
            order=len(known) + position,
        )
        for position, trial in enumerate(running)
    ]
    return [*known, *shown], [trial for trial in pending if not (counts and trial.running)]


def _ended(observation: Observation, objectives: Sequence[Metric], worst: Sequence[float]) -> Observation:
    """A trial of an earlier sweep that is known by its scores alone keeps them."""
    if observation.outcome is Outcome.FINISHED or all(metric.impute is None for metric in objectives):
        return observation
    ways = [metric.impute or "worst" for metric in objectives]
    return replace(observation, outcome=Outcome.FINISHED, scores=_scores(observation.shown, ways, worst, running=False))


def _scores(
    shown: Sequence[Shown | None], ways: Sequence[str], worst: Sequence[float], *, running: bool
) -> tuple[float, ...]:
    known = [*shown, *[None] * (len(ways) - len(shown))]
    return tuple(_score(one, way, bad, running=running) for one, way, bad in zip(known, ways, worst, strict=True))


def _score(shown: Shown | None, way: str, worst: float, *, running: bool) -> float:
    if shown is not None and (running or way == "best"):
        return shown.best
    if way == "worst":
        return worst
    return NOTHING if shown is None or shown.latest is None else shown.latest


def _worst(observations: Sequence[Observation], index: int) -> float:
    """The worst score of an objective that any trial has shown which has ended."""
    shown = [one.worst for o in observations for one in o.shown[index : index + 1] if one is not None]
    prior = [o.scores[index] for o in observations if not o.shown and len(o.scores) > index]
    return max([*shown, *prior], default=NOTHING)
