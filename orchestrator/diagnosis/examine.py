"""Every rule on one trial, and the one module that names them all."""

from collections.abc import Callable

from orchestrator.diagnosis import curves, signs
from orchestrator.diagnosis.model import Case, Flag, Illness

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
)

EXPLAINED_BY = {
    Illness.NEVER_LEARNED: {Illness.NAN, Illness.DIVERGING},
    Illness.PLATEAU: {Illness.NAN, Illness.DIVERGING, Illness.OVERFITTING},
    Illness.OVERFITTING: {Illness.DIVERGING, Illness.NEVER_LEARNED},
}
"""A flag is left out where one of these is there: it says the same with more weight."""


def examine(case: Case) -> tuple[Flag, ...]:
    """Return what is wrong with a trial, the worst first; empty for a healthy one."""
    found = [flag for rule in RULES for flag in rule(case)]
    illnesses = {flag.illness for flag in found}
    return tuple(flag for flag in found if not EXPLAINED_BY.get(flag.illness, set()) & illnesses)
