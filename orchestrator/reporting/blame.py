"""Which parameter goes with failure: one rule that holds for every failure, and that chance would hardly make."""

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.ledger.records import TrialRecord
from orchestrator.printable import clean
from orchestrator.reporting.wording import short
from orchestrator.space import SearchSpace
from orchestrator.space.axis import Axis
from orchestrator.space.nesting import MISSING, value_at

CHANCE = 0.05
"""How probable a rule may be, by chance alone, that is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Every failed trial fulfils it.

    Attributes:
        text: In words: ``layers >= 3``.
        others: How many of the trials that did not fail fulfil it, too.
        chance: The probability that any rule so narrow held for so many failures that fell on trials by lot.
    """

    text: str
    others: int
    chance: float


def rule_for(space: SearchSpace, failed: Sequence[TrialRecord], others: Sequence[TrialRecord]) -> Rule | None:
    """Return the rule that tells failed trials best from others; None where chance would make one as good.

    Half of the trials that fulfil it failed, or more: else it helps nobody.

    Of k failures among n trials, all lie among the m highest values of a parameter by chance with probability
    C(m, k) / C(n, k). That is multiplied by the number of rules that were looked at.
    """
    if len(failed) < 2 or not others:
        return None
    found = [rule for axis in space.axes for rule in _rules(axis, failed, others)]
    best = min(found, key=lambda rule: rule.chance if rule.others <= len(failed) else math.inf, default=None)
    if best is None or best.others > len(failed) or best.chance * len(found) > CHANCE:
        return None
    return Rule(text=best.text, others=best.others, chance=best.chance * len(found))


def _rules(axis: Axis, failed: Sequence[TrialRecord], others: Sequence[TrialRecord]) -> Iterator[Rule]:
    bad = [value_at(trial.config, axis.path) for trial in failed]
    good = [value for trial in others if (value := value_at(trial.config, axis.path)) is not MISSING]
    if any(value is MISSING for value in bad):
        return
    name = clean(axis.name)
    if axis.is_numeric and all(isinstance(value, int | float) for value in (*bad, *good)):
        for sign, holds, bound in ((">=", operator.ge, min(bad)), ("<=", operator.le, max(bad))):
            shown = _bound(bound, holds, (*bad, *good))
            yield _rule(f"{name} {sign} {shown}", bad, [v for v in good if holds(v, bound)], good)
    if len({axis.identify(value) for value in bad}) == 1:
        same = [value for value in good if axis.identify(value) == axis.identify(bad[0])]
        yield _rule(f"{name} = {short(bad[0])}", bad, same, good)


def _rule(text: str, bad: Sequence[Any], within: Sequence[Any], good: Sequence[Any]) -> Rule:
    k, m, n = len(bad), len(bad) + len(within), len(bad) + len(good)
    return Rule(text=text, others=len(within), chance=math.comb(m, k) / math.comb(n, k))


def _bound(bound: float, holds: Callable[[float, float], bool], values: Sequence[float]) -> str:
    """A bound in the fewest digits that leave every value on its side."""
    if isinstance(bound, int):
        return str(bound)
    texts = (f"{bound:.{digits}g}" for digits in range(1, 17))
    same = (text for text in texts if all(holds(v, float(text)) == holds(v, bound) for v in values))
    return next(same, repr(bound))
