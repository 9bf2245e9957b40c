"""A sweep as its results: the trials, what they were for, and which are the best."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orchestrator.layout import SweepDir
from orchestrator.ledger.ranking import pareto_front, ranked
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import SweepRecord, TrialRecord
from orchestrator.printable import clean
from orchestrator.reporting.labels import SweepLabels, read_labels
from orchestrator.reporting.wording import number
from orchestrator.spec import SweepSpec, load_recorded
from orchestrator.spec.model import Constant, Metric, Nested, Parameter
from orchestrator.trial.contract.flat import flat

if TYPE_CHECKING:
    from orchestrator.ledger.store import Ledger


@dataclass(frozen=True, kw_only=True)
class Results:
    """The trials of a sweep at one moment; `damage` says what of its ledger could not be read."""

    sweep_dir: SweepDir
    record: SweepRecord
    spec: SweepSpec
    trials: tuple[TrialRecord, ...]
    damage: tuple[str, ...] = ()
    labels: SweepLabels = field(default_factory=SweepLabels)

    @property
    def about(self) -> str | None:
        """What the sweep is, in its user's words: the note on it, else the spec's description."""
        return self.labels.sweep.note or self.spec.description

    def why(self, trial: TrialRecord) -> str | None:
        """Return why a trial ended, if that is not obvious, and what people said of it; None for nothing."""
        return (
            " · ".join(part for part in (trial.error or trial.reason, self.labels.of(trial.number).words) if part)
            or None
        )

    @classmethod
    def of(cls, sweep_dir: SweepDir, spec: SweepSpec, ledger: "Ledger") -> "Results":
        """Return what a controller's ledger holds; `spec` is what it runs."""
        return cls(sweep_dir=sweep_dir, record=ledger.sweep.record, spec=spec, trials=tuple(ledger.trials()))

    @property
    def metric(self) -> Metric | None:
        """The first objective; None when the spec has none."""
        return next(iter(self.spec.objectives), None)

    @property
    def label(self) -> str:
        """The sweep's name and id, harmless to any terminal or file."""
        return f"{clean(self.record.name)} {self.record.sweep_id}"

    @cached_property
    def ranked(self) -> list[TrialRecord]:
        """The trials that can be the best, in their order: the best first."""
        return ranked(self.trials)

    @cached_property
    def front(self) -> list[TrialRecord]:
        """The trials that no other trial beats in every objective, by number."""
        return pareto_front(self.trials)

    @cached_property
    def by_number(self) -> Mapping[int, TrialRecord]:
        """The trials by number: of a damaged ledger some are missing."""
        return {trial.number: trial for trial in self.trials}

    def leaders(self, k: int) -> list[TrialRecord]:
        """The `k` best trials; with several objectives the whole front, the best in the first objective first."""
        return ranked(self.front) if self.spec.metrics else self.ranked[:k]

    def tuned(self, trial: TrialRecord) -> dict[str, Any]:
        """Return the part of a trial's config that the spec lets vary, by dotted names; all of it if nothing does."""
        return tuned(trial.config, self._varying)

    @cached_property
    def _varying(self) -> frozenset[str]:
        return varying(self.spec)

    def values(self, trial: TrialRecord) -> dict[str, float | None]:
        """Return the objectives' values that stand for a trial, by name; None for what it has not reported."""
        first = {m.name: trial.value for m in self.spec.objectives[:1]}
        return {m.name: None for m in self.spec.objectives} | first | values_of(trial, self.spec)

    def shown(self, trial: TrialRecord) -> str:
        """Return the objectives' values in words: ``0.98211``, or ``loss 0.1, size 3``."""
        values = self.values(trial)
        if len(values) < 2:
            return number(trial.value)
        return ", ".join(f"{clean(name)} {number(value)}" for name, value in values.items())


def read_results(sweep_dir: SweepDir, reader: LedgerReader, spec: SweepSpec | None = None) -> Results:
    """Return a sweep's results as its ledger holds them now; `spec` saves reading it again."""
    record = reader.sweep()
    trials = tuple(reader.trials())
    return Results(
        sweep_dir=sweep_dir,
        record=record,
        spec=spec or load_recorded(record.spec_text),
        trials=trials,
        damage=tuple(reader.damage),
        labels=read_labels(sweep_dir),
    )


def values_of(trial: TrialRecord, spec: SweepSpec) -> dict[str, float]:
    """Return the objectives' values that stand for a trial, by name; nothing before it has reported all of them."""
    return {m.name: m.goal.sign * score for m, score in zip(spec.objectives, trial.scores, strict=False)}


def varying(spec: SweepSpec) -> frozenset[str]:
    """Return the dotted names of the parameters that the spec lets vary."""
    return frozenset(_varying_names(spec.parameters))


def tuned(config: Mapping[str, Any], varying: frozenset[str]) -> dict[str, Any]:
    """Return the part of a config that varies, by dotted names; all of it if nothing does."""
    by_name = dict(flat(config))
    return {name: value for name, value in by_name.items() if name in varying} or by_name


def _varying_names(parameters: Mapping[str, Parameter], prefix: str = "") -> Iterator[str]:
    for name, parameter in parameters.items():
        if isinstance(parameter, Nested):
            yield from _varying_names(parameter.parameters, f"{prefix}{name}.")
        elif not isinstance(parameter, Constant):
            yield prefix + name


def finite(value: float | None) -> float | None:
    """Return the value as JSON can carry it: None for what is not finite."""
    return value if value is not None and math.isfinite(value) else None
