"""Which rows of a table pass a filter such as ``lr<0.01 state=finished``: the language of the page's own, `filter.js`.

Words are joined by *and*. ``NAME<VALUE`` compares a column, with ``<``, ``>``, ``<=``, ``>=``, ``=``, ``==`` or ``!=``; any other
word is text that occurs somewhere in the row. Quotes keep a name, a value or a text with blanks together.
"""

import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.errors import SweepError
from orchestrator.ledger.records import TrialState
from orchestrator.printable import clean
from orchestrator.reporting.use_text import COLUMNS

if TYPE_CHECKING:
    from orchestrator.reporting.facts import Facts

WORDS = re.compile(r"(?:\"[^\"]*\"|'[^']*'|\S)+")
COMPARISON = re.compile(r"((?:\"[^\"]*\"|'[^']*'|.)+?)(<=|>=|!=|==|<|>|=)(.*)", re.DOTALL)
QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")
NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?", re.IGNORECASE)
ABSENT = {"null": "none", "~": "none"}
"""How YAML writes what is shown as None."""

HOW: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
Test = Callable[[int], bool]
"""Whether the row at a place passes."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what each row shows, and the number that counts in comparisons; NaN where it is none."""

    name: str
    texts: Sequence[str]
    numbers: Sequence[float]


def texts(name: str, values: Sequence[str]) -> Column:
    """Return a column of texts, which count as the numbers that they are."""
    return Column(name, values, [number(value) for value in values])


def numbers(name: str, values: Sequence[float | None], shown: "Callable[[float | None], str] | None" = None) -> Column:
    """Return a column of numbers, None where a row has none."""
    return Column(name, list(map(shown or show, values)), [math.nan if v is None else v for v in values])


def passing(where: str, columns: Sequence[Column], n: int) -> list[int]:
    """Return the places of the rows, of `n`, that pass every word of a filter.

    Raises:
        SweepError: A word compares a column that there is not.
    """
    tests = [_test(word, columns) for word in WORDS.findall(where)]
    return [i for i in range(n) if all(passes(i) for passes in tests)]


def kept(facts: "Facts", where: Sequence[str] | None) -> "Facts":
    """Return a sweep's facts with the trials alone that pass every filter; all of them without one.

    Raises:
        SweepError: A filter compares a column that there is not.
    """
    if not where:
        return facts
    trials = facts.results.trials
    left = tuple(trials[i] for i in passing(" ".join(where), columns_of(facts), len(trials)))
    chosen = {trial.number for trial in left}
    return replace(
        facts,
        results=replace(facts.results, trials=left),
        attempts=tuple(attempt for attempt in facts.attempts if attempt.trial in chosen),
        curves={trial: curve for trial, curve in facts.curves.items() if trial in chosen},
        counts={state: n for state in TrialState if (n := sum(trial.state is state for trial in left))},
        whole=False,
    )


def columns_of(facts: "Facts") -> list[Column]:
    """Return the columns of the page's table, as `columns.js` makes them of the page's data."""
    from orchestrator.reporting.page.payload import trials_data

    data, n = trials_data(facts.results, facts.space.axes, facts.flags, facts.uses), len(facts.results.trials)
    took = [
        None if begun is None or ended is None else ended - begun
        for begun, ended in zip(data["began"], data["ended"], strict=True)
    ]
    found = [
        numbers("trial", range(n)),
        texts("state", [data["states"][state] for state in data["state"]]),
        *(numbers(o["name"], values) for o, values in zip(data["objectives"], data["values"], strict=True)),
        numbers("row", data["step"], lambda step: "" if step is None else str(step)),
        numbers("time", took, lambda s: "" if s is None else clock(s)),
        *map(_axis, data["axes"]),
    ]
    flags = [data["flags"].get(i, ()) for i in range(n)]
    if any(flags):
        names = [", ".join(flag["name"] for flag in row) for row in flags]
        found.append(Column("flags", names, [len(row) for row in flags]))
    for k, name in enumerate(COLUMNS):
        used = [data["use"][i][k] if i in data["use"] else None for i in range(n)]
        if any(value is not None for value in used):
            found.append(numbers(name, used, lambda value: "" if value is None else show(value)))
    return [
        *found,
        texts("where", data["where"]),
        texts("note", [data["said"].get(i, "") for i in range(n)]),
    ]


def _axis(axis: Mapping[str, Any]) -> Column:
    """A parameter; what a trial does not have is an empty text."""
    values = axis["values"]
    if "labels" in axis:
        return texts(axis["name"], ["" if value is None else axis["labels"][value] for value in values])
    return numbers(axis["name"], values, lambda value: "" if value is None else show(value))


def show(value: float | None) -> str:
    """Return a number as the page shows it, in up to four digits."""
    if value is None:
        return "\u2013"
    if value == int(value) and abs(value) < 1e7:
        return str(int(value))
    mantissa, _, exponent = f"{value:.3e}".partition("e")
    if -7 < int(exponent) < 4:
        text = f"{value:.{3 - int(exponent)}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def clock(seconds: float) -> str:
    """Return a duration as the page shows it, in its two largest units."""
    if seconds < 60:
        return f"{_rounded(seconds)}s"
    if seconds < 3600:
        return f"{int(seconds // 60)}m{_rounded(seconds % 60):02d}s"
    if seconds < 86400:
        return f"{int(seconds // 3600)}h{_rounded(seconds % 3600 / 60):02d}m"
    return f"{seconds / 86400:.1f}d"


def number(text: str) -> float:
    """Return the number that a text is; NaN where it is none."""
    return float(text) if NUMBER.fullmatch(text.strip()) else math.nan


def _rounded(value: float) -> int:
    return math.floor(value + 0.5)


def _test(word: str, columns: Sequence[Column]) -> Test:
    """One word: ``lr<0.01``, ``width!=32``, ``state=failed``, ``"act fn"='x y'``, or text that occurs anywhere in the row."""
    found = COMPARISON.fullmatch(word)
    if found is None or not found[1].strip("\"'"):
        return _containing(_unquoted(word).lower(), columns)
    if found[1][0] in "\"'" and QUOTED.fullmatch(word):
        return _containing(_unquoted(word).lower(), columns)
    named, how = _named(_unquoted(found[1]), word, columns), found[2]
    wanted = _unquoted(found[3])
    if how in HOW:
        limit = number(wanted)
        return lambda i: any(HOW[how](column.numbers[i], limit) for column in named)
    same = how != "!="
    return lambda i: any(_equals(column, i, wanted) for column in named) is same


def _containing(low: str, columns: Sequence[Column]) -> Test:
    return lambda i: any(low in column.texts[i].lower() for column in columns)


def _unquoted(word: str) -> str:
    return QUOTED.sub(lambda found: found[1] if found[1] is not None else found[2], word)


def _named(name: str, word: str, columns: Sequence[Column]) -> list[Column]:
    """The columns that a name means: a parameter may be called as one of ours is, or as another in capitals."""
    exact = [column for column in columns if column.name == name]
    found = exact or [column for column in columns if column.name.lower() == name.lower()]
    if found:
        return found
    names = list(dict.fromkeys(column.name for column in columns))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names[:20])}"
    raise SweepError(
        f"--where {clean(word)}: there is no column {clean(name)}; {hint}\n"
        "  What is to be looked for as a text stands in quotes, inside of the shell's."
    )


def _equals(column: Column, i: int, wanted: str) -> bool:
    """Whether a row has a value; what is not whole is kept in five digits."""
    text, low = column.texts[i].lower(), wanted.lower()
    if text in {low, ABSENT.get(low)}:
        return True
    limit = number(wanted)
    if not math.isfinite(limit):
        return False
    return column.numbers[i] == limit or (limit != int(limit) and column.numbers[i] == float(f"{limit:.5g}"))
