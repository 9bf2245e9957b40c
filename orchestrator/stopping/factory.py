"""From a spec to its stopping rule: the one module that names every concrete rule."""

from orchestrator.errors import SweepError
from orchestrator.spec.model import EarlyTerminate, SweepSpec
from orchestrator.stopping.percentile import PercentileRule
from orchestrator.stopping.protocol import StoppingRule
from orchestrator.stopping.rungs import Rungs, bands
from orchestrator.stopping.wording import Show, show_as
from orchestrator.stopping.wrappers import AnyOf, Diverging, NotFinite, Patient


def make_rule(spec: SweepSpec) -> StoppingRule | None:
    """Return the rule of ``early_terminate`` and ``orchestrator.stop_when`` together, None when nothing ends a trial.

    With several metrics the first one is judged.

    Raises:
        SweepError: The rungs of ``early_terminate`` all lie below the first report.
    """
    if not spec.objectives:
        return None
    metric = spec.objectives[0]
    rules: list[StoppingRule] = []
    show = show_as(metric.goal)
    if "nan" in spec.options.stop_when:
        rules.append(NotFinite(metric=metric.name))
    if "diverging" in spec.options.stop_when:
        rules.append(Diverging(metric=metric.name, show=show))
    if spec.early_terminate is not None:
        rules += _early(spec.early_terminate, show)
    return AnyOf(rules=tuple(rules)) if rules else None


def _early(early: EarlyTerminate, show: Show) -> list[StoppingRule]:
    rule: StoppingRule
    if early.type == "median":
        rule = PercentileRule(
            percentile=early.percentile, min_iter=early.min_iter or 1, min_trials=early.min_trials, show=show
        )
    elif not (rungs := _rungs(early)):
        return []
    else:
        rule = Rungs(bands=rungs, eta=early.eta, strict=early.strict, at_most=early.type == "asha", show=show)
    return [Patient(rule=rule, patience=early.no_improvement) if early.no_improvement else rule]


def _rungs(early: EarlyTerminate) -> list[int]:
    found = bands(early)
    if not found:
        raise SweepError(
            f"early_terminate: max_iter {early.max_iter} divided by eta {early.eta:g} leaves no whole report "
            f"(s is {early.s}). Raise max_iter, lower eta, or give min_iter instead."
        )
    return [rung for rung in found if early.max_t is None or rung < early.max_t]  # who gets there has finished
