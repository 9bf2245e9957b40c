"""Every rule on one trial, and the one module that names them all."""

from collections.abc import Callable

from orchestrator.diagnosis import curves, signs
from orchestrator.diagnosis.model import Case, Flag, Issue

RULES: tuple[Callable[[Case], list[Flag]], ...] = (
    signs.crashed,
    signs.silent,
    curves.not_a_number,
    curves.diverging,
    curves.unstable,
    signs.exploding,
    signs.vanishing,
    curves.overfitting,
    curves.not_learning,
    signs.idle_gpu,
)

EXPLAINED_BY = {
    Issue.NEVER_LEARNED: {Issue.NAN, Issue.DIVERGING},
    Issue.PLATEAU: {Issue.NAN, Issue.DIVERGING, Issue.OVERFITTING},
    Issue.OVERFITTING: {Issue.DIVERGING, Issue.NEVER_LEARNED},
}
"""A flag is left out where one of these is there: it says the same with more weight."""


def examine(case: Case) -> tuple[Flag, ...]:
    """Return what is wrong with a trial, the worst first; empty for a healthy one."""
    found = [flag for rule in RULES for flag in rule(case)]
    issues = {flag.issue for flag in found}
    return tuple(flag for flag in found if not EXPLAINED_BY.get(flag.issue, set()) & issues)
