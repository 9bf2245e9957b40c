"""`parameters`: which distribution each entry means, as W&B infers it, and what is wrong with it."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.spec.cursor import Cursor, number_in, yaml_float
from orchestrator.spec.findings import MAX_SHOWN, Severity, near_miss
from orchestrator.spec.misreadings import in_pieces
from orchestrator.spec.model import Beta, Categorical, Constant, Gaussian, Interval, Kind, Nested, Parameter

NAME_START = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
NAME_CHARACTERS = NAME_START + "0123456789.-"

INTERVALS = frozenset(kind for kind in Kind if "uniform" in kind)
GAUSSIANS = frozenset({Kind.NORMAL, Kind.Q_NORMAL, Kind.LOG_NORMAL, Kind.Q_LOG_NORMAL})
BETAS = frozenset({Kind.BETA, Kind.Q_BETA})
VALUE_BOUNDS = frozenset({Kind.LOG_UNIFORM_VALUES, Kind.Q_LOG_UNIFORM_VALUES, Kind.INV_LOG_UNIFORM_VALUES})
EXPONENT_BOUNDS = frozenset({Kind.LOG_UNIFORM, Kind.Q_LOG_UNIFORM, Kind.INV_LOG_UNIFORM})
ALL_KEYS = (
    "distribution",
    "value",
    "values",
    "probabilities",
    "min",
    "max",
    "q",
    "mu",
    "sigma",
    "a",
    "b",
    "parameters",
)

SYNONYMS = {
    other: f"did you mean `{key}`?"
    for key, others in {
        "distribution": ("dist", "type", "kind", "scale", "sampling", "method", "space"),
        "value": ("default", "const", "constant", "val"),
        "values": ("choices", "options", "candidates", "categories", "grid", "list", "items"),
        "min": ("low", "lower", "lower_bound", "from", "start", "minimum", "lb"),
        "max": ("high", "upper", "upper_bound", "to", "stop", "end", "maximum", "ub"),
        "q": ("step", "quantum", "quantization", "step_size", "stepsize"),
        "mu": ("mean", "loc"),
        "sigma": ("std", "stddev", "sd"),
        "probabilities": ("probs", "weights", "p", "prob"),
        "parameters": ("params", "parameter"),
    }.items()
    for other in others
} | {
    "range": "give `min` and `max`, or list `values`",
    "bounds": "give `min` and `max`",
    "log": "write `distribution: log_uniform_values` for a logarithmic scale",
    "n": "W&B has no number of steps: list `values`",
    "num": "W&B has no number of steps: list `values`",
}
"""What other tools call W&B's keys."""

HOW_TO_VARY = "give it `value`, `values`, `min` and `max`, a `distribution`, or nested `parameters`"

SO_IN_W_AND_B = "W&B passes what is read, and so does this; a string that is meant stands in quotes"

LARGEST_EXPONENT = 700.0
"""exp() of more is infinite in double precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Among:
    """What a value stands among: it tells what it is likely to be."""

    numbers: bool = False
    booleans: bool = False
    alone: bool = False


ALONE = _Among(numbers=False, alone=True)


def read_parameters(cursor: Cursor) -> dict[str, Parameter]:
    """Return the parameters that can be read; what cannot is a finding."""
    if not cursor.mapping("a mapping of parameter names"):
        return {}
    if not cursor.names():
        cursor.error("has no entries", hint="name at least one parameter")
    read: dict[str, Parameter] = {}
    for name in cursor.names():
        _check_name(cursor, name)
        parameter = read_parameter(cursor.at(name))
        if parameter is not None:
            read[name] = parameter
    return read


def read_parameter(cursor: Cursor) -> Parameter | None:
    """Return one parameter, or None with the reason filed."""
    if not cursor.is_map:
        _not_a_mapping(cursor)
        return None
    if "parameters" in cursor:
        return _nested(cursor)
    kind = _kind(cursor)
    if kind is None:
        return None
    return _readers()[kind](cursor, kind)


def _check_name(cursor: Cursor, name: str) -> None:
    at = cursor.at_key(name)
    if not name or any(not c.isprintable() for c in name):
        at.error(f"{name!r} is not a parameter name")
    elif ".." in name.replace("\\", "/").split("/"):
        at.error(f"{name!r} leads out of a directory", hint="a name has no `..` between slashes")
    elif name[0] not in NAME_START or any(c not in NAME_CHARACTERS for c in name):
        hint = "W&B wants a letter or _ first, then letters, digits, '_', '.' and '-'; it runs others with a warning"
        at.warn(f"{name!r} is an unusual parameter name", hint=hint)


def _not_a_mapping(cursor: Cursor) -> None:
    if cursor.is_null:
        cursor.error("is empty", hint=HOW_TO_VARY)
    elif cursor.value.elements is not None:
        cursor.error(f"{cursor.shown} is a list, not a parameter", fix=f"{{values: {_flow(cursor.data)}}}")
    else:
        cursor.error(f"{cursor.shown} is a value, not a parameter", fix=f"{{value: {_flow(cursor.data)}}}")


def _nested(cursor: Cursor) -> Nested | None:
    for key in cursor.names():
        if key != "parameters":
            hint = "nested parameters have nothing but `parameters` beside each other"
            cursor.at_key(key).error(f"`{key}` beside `parameters`", hint=hint)
    inside = read_parameters(cursor.at("parameters"))
    return Nested(parameters=inside) if inside else None


def _kind(cursor: Cursor) -> Kind | None:
    if "distribution" in cursor:
        return _named_kind(cursor)
    if "value" in cursor:
        return Kind.CONSTANT
    if "values" in cursor:
        return Kind.CATEGORICAL_W_PROBABILITIES if "probabilities" in cursor else Kind.CATEGORICAL
    if "min" in cursor and "max" in cursor:
        return _bounded_kind(cursor)
    _no_kind(cursor)
    return None


def _named_kind(cursor: Cursor) -> Kind | None:
    at = cursor.at("distribution")
    name = at.choice(str(kind) for kind in Kind)
    if name is None:
        return None
    kind = Kind(name)
    if kind is Kind.CATEGORICAL and "probabilities" in cursor:
        at.warn(
            "`categorical` with `probabilities` is refused by W&B's schema",
            hint="it is read as categorical_w_probabilities",
            fix="distribution: categorical_w_probabilities",
        )
        return Kind.CATEGORICAL_W_PROBABILITIES
    return kind


def _bounded_kind(cursor: Cursor) -> Kind | None:
    low, high = cursor.at("min").number(), cursor.at("max").number()
    if low is None or high is None:
        return None
    if isinstance(low, int) and isinstance(high, int):
        return Kind.INT_UNIFORM
    if isinstance(low, float) != isinstance(high, float):
        whole = "min" if isinstance(low, int) else "max"
        cursor.at(whole).warn(
            f"one bound is a whole number and the other is not ({low!r} and {high!r})",
            hint="W&B calls this ambiguous and refuses it at the top level; it is read as a uniform float",
            fix=f"{whole}: {yaml_float(float(low if whole == 'min' else high))}",
        )
    return Kind.UNIFORM


def _no_kind(cursor: Cursor) -> None:
    unknown = [key for key in cursor.names() if key not in ALL_KEYS]
    if any(near_miss(key, ALL_KEYS) or key in SYNONYMS for key in unknown[:MAX_SHOWN]):
        cursor.unknown_keys(ALL_KEYS, severity=Severity.ERROR, hints=SYNONYMS)
        return
    for one, other in (("min", "max"), ("max", "min")):
        if one in cursor:
            cursor.error(f"has `{one}` but no `{other}`")
            return
    for kind, keys in (("normal", {"mu", "sigma"}), ("beta", {"a", "b"})):
        if keys & set(cursor.names()):
            cursor.error("has no `distribution`", fix=f"distribution: {kind}")
            return
    cursor.error("does not say which values it takes", hint=HOW_TO_VARY)


def _readers() -> Mapping[Kind, Callable[[Cursor, Kind], Parameter | None]]:
    readers: dict[Kind, Callable[[Cursor, Kind], Parameter | None]] = dict.fromkeys(INTERVALS, _interval)
    readers |= dict.fromkeys(GAUSSIANS, _gaussian) | dict.fromkeys(BETAS, _beta)
    readers[Kind.CONSTANT] = _constant
    readers[Kind.CATEGORICAL] = readers[Kind.CATEGORICAL_W_PROBABILITIES] = _categorical
    return readers


def _only(cursor: Cursor, kind: Kind, *keys: str) -> None:
    """W&B refuses a parameter with a key its distribution does not have: it is ambiguous."""
    others = [key for key in cursor.names() if key != "distribution" and key not in keys]
    for i, key in enumerate(others):
        near = near_miss(key, (*keys, "distribution")) if i < MAX_SHOWN else None
        hint = (
            cursor.how_to_write(key, ALL_KEYS)
            or SYNONYMS.get(key)
            or (f"did you mean `{near}`?" if near and near not in cursor else f"{kind} takes {', '.join(keys)}")
        )
        cursor.at_key(key).error(f"`{key}` does not belong to {kind}", hint=hint)


def _constant(cursor: Cursor, kind: Kind) -> Constant | None:
    _only(cursor, kind, "value")
    if "value" not in cursor:
        cursor.error("a constant has a `value`")
        return None
    return Constant(value=_meant(cursor.at("value"), ALONE))


def _categorical(cursor: Cursor, kind: Kind) -> Categorical | None:
    _only(cursor, kind, "values", "probabilities")
    values = _values(cursor)
    if values is None or kind is Kind.CATEGORICAL:
        return None if values is None else Categorical(values=values)
    if "probabilities" not in cursor:
        cursor.error("has no `probabilities`", hint="give one per value, or use `distribution: categorical`")
        return None
    probabilities = _probabilities(cursor.at("probabilities"), len(values))
    return None if probabilities is None else Categorical(values=values, probabilities=probabilities)


def _values(cursor: Cursor) -> tuple[Any, ...] | None:
    """The values, with ``1e-5`` among numbers read as the number."""
    if "values" not in cursor:
        cursor.error("has no `values`")
        return None
    at = cursor.at("values")
    if at.value.elements is None and not at.is_map and not at.is_null:
        _not_a_list(at)
        return None
    elements = at.list_of("values")
    if elements == []:
        at.error("is empty", hint="list at least one value")
    return tuple(_meant_list(elements)) if elements else None


def _not_a_list(cursor: Cursor) -> None:
    """File what is wrong with one value, or several in one text, where a list stands."""
    text = cursor.value.data if isinstance(cursor.value.data, str) else ""
    items = [item.strip() for item in text.strip("[]()").split(",")]
    found = cursor.misreading(among_numbers=True)
    hint = f"YAML reads a string; meant is {found.meant}" if found and not found.fix else None
    fix = found.fix if found and found.fix else ", ".join(items) if text else cursor.value.raw
    fix = fix if fix is None or fix[:1] in {"{", "["} else f"[{fix}]"
    cursor.error(f"{cursor.shown} is not a list of values", hint=hint, fix=None if hint else fix)


def _is_number(cursor: Cursor) -> bool:
    return isinstance(cursor.value.data, int | float) and not isinstance(cursor.value.data, bool)


def _meant_list(elements: list[Cursor]) -> list[Any]:
    """Return a list's values as their author means them: ``1e-5`` among numbers is the number."""
    pieces = _in_pieces(elements)
    among = _Among(
        numbers=any(_is_number(e) for e in elements) or all(e.is_bare_float for e in elements),
        booleans=any(isinstance(e.value.data, bool) for e in elements),
        alone=len(elements) == 1,
    )
    return [e.data if i in pieces else _meant(e, among) for i, e in enumerate(elements)]


def _in_pieces(elements: list[Cursor]) -> set[int]:
    """Return which elements are pieces of one text; each such text is a warning."""
    found = in_pieces([e.value.raw for e in elements])
    for group, meant in found.items():
        read = ", ".join(json.dumps(elements[i].data) for i in group)
        elements[group[0]].warn(
            f"YAML reads {meant.meant} as {len(group)} values: {read}", hint=SO_IN_W_AND_B, fix=meant.fix
        )
    return {i for group in found for i in group}


def _meant(cursor: Cursor, among: _Among) -> Any:
    """Return a value as its author means it; what YAML makes of it, where that may surprise, is a warning."""
    if cursor.value.elements is not None:
        return _meant_list(list(cursor.elements()))
    if cursor.is_map:
        return {key: _meant(cursor.at(key), ALONE) for key in cursor.names()}
    if cursor.is_bare_float:
        return cursor.number() if among.numbers or among.alone else cursor.data
    if cursor.surprises:
        _warn_of_surprise(cursor)
    elif cursor.is_null and cursor.value.raw == "":
        cursor.warn("is empty: YAML reads null", hint="so does W&B; write null, or a value", fix="null")
    elif cursor.value.raw is None:
        _check_quoted(cursor, among)
    else:
        _check_plain(cursor, among)
    return cursor.data


def _warn_of_surprise(cursor: Cursor) -> None:
    as_read = json.dumps(cursor.data)
    cursor.warn(
        f"YAML 1.1 reads {cursor.value.raw} as {as_read}",
        hint=f"so does W&B; write {as_read}, or quotes if it is meant as a string",
        fix=f'"{cursor.value.raw}"',
    )


def _check_plain(cursor: Cursor, among: _Among) -> None:
    found = cursor.misreading(among_numbers=among.numbers, alone=among.alone)
    if found is not None:
        cursor.warn(f"YAML reads {cursor.data} as a string, not as {found.meant}", hint=SO_IN_W_AND_B, fix=found.fix)


def _check_quoted(cursor: Cursor, among: _Among) -> None:
    """Warn of what quotes make a string that stands for something else in Python."""
    text = cursor.value.data
    if not isinstance(text, str) or cursor.value.mark is None:
        return
    word = text.strip().lower()
    if word in {"true", "false"} or (among.booleans and word in {"yes", "no", "on", "off"}):
        meant = "true" if word in {"true", "yes", "on"} else "false"
        cursor.warn(
            f"{cursor.shown} in quotes is a string, which is true in Python, and no boolean",
            hint=SO_IN_W_AND_B,
            fix=meant,
        )
    elif among.numbers and (fix := number_in(text)) is not None:
        cursor.warn(f"{cursor.shown} in quotes is a string, and stands among numbers", hint=SO_IN_W_AND_B, fix=fix)


def _probabilities(cursor: Cursor, n_values: int) -> tuple[float, ...] | None:
    elements = cursor.list_of("numbers")
    if elements is None:
        return None
    numbers = [element.number_above(0.0, inclusive=True) for element in elements]
    if None in numbers:
        return None
    probabilities = tuple(float(p) for p in numbers if p is not None)
    if len(probabilities) != n_values:
        cursor.error(f"has {len(probabilities)} for {n_values} value{'s' if n_values > 1 else ''}")
        return None
    total = math.fsum(probabilities)
    if not math.isclose(total, 1.0, rel_tol=1e-5, abs_tol=1e-8):
        # six digits: with fewer, what is proposed would not sum to 1 either
        shares = ", ".join(f"{p / total:.6g}" for p in probabilities) if total > 0 else None
        cursor.error(f"sums to {total:g}, not to 1", fix=f"probabilities: [{shares}]" if shares else None)
        return None
    return probabilities


def _interval(cursor: Cursor, kind: Kind) -> Interval | None:
    quantised = kind.startswith("q_")
    _only(cursor, kind, "min", "max", *(("q",) if quantised else ()))
    for key in ("min", "max"):
        if key not in cursor:
            cursor.error(f"has no `{key}`")
    if "min" not in cursor or "max" not in cursor:
        return None
    low, high = cursor.at("min").number(), cursor.at("max").number()
    q = _q(cursor) if quantised else None
    if low is None or high is None or (quantised and q is None):
        return None
    interval = Interval(kind=kind, min=low, max=high, q=q)
    return interval if _bounds_make_sense(cursor, interval) else None


def _q(cursor: Cursor) -> int | float | None:
    if "q" not in cursor:
        return 1.0
    return cursor.at("q").number_above(0.0)


def _bounds_make_sense(cursor: Cursor, interval: Interval) -> bool:
    low, high, kind = interval.min, interval.max, interval.kind
    if kind is Kind.INT_UNIFORM and not (isinstance(low, int) and isinstance(high, int)):
        whole = float(low).is_integer() and float(high).is_integer()
        fix = f"{{min: {int(low)}, max: {int(high)}}}" if whole else "distribution: uniform"
        cursor.error(f"int_uniform has whole bounds without a point, not {low!r} and {high!r}", fix=fix)
        return False
    if low == high:
        cursor.error(f"min and max are both {low!r}", fix=f"{{value: {low!r}}}")
        return False
    if low > high:
        cursor.error(f"min {low!r} is not less than max {high!r}", hint="swap them")
        return False
    if kind in VALUE_BOUNDS and low <= 0:
        cursor.at("min").error(f"{low!r} has no logarithm", hint="min must be greater than 0 on a logarithmic scale")
        return False
    if interval.q is not None and not math.isfinite(max(abs(low), abs(high)) / interval.q):
        cursor.at("q").error(f"{interval.q!r} is too small a step for these bounds")
        return False
    return kind not in EXPONENT_BOUNDS or _check_exponents(cursor, interval)


def _check_exponents(cursor: Cursor, interval: Interval) -> bool:
    kind, at = interval.kind, cursor.at("distribution")
    bounds = [float(interval.min), float(interval.max)]
    fix = f"distribution: {kind}_values"
    if max(map(abs, bounds)) > LARGEST_EXPONENT:
        largest = max(bounds, key=abs)
        hint = f"{kind} takes natural-log exponents; bounds that are the values themselves go with the `_values` form"
        cursor.error(f"exp({largest:g}) is out of range", hint=hint, fix=fix)
        return False
    low, high = [math.exp(x) for x in bounds] if kind is not Kind.INV_LOG_UNIFORM else _inverted(*bounds)
    if bounds[0] >= 0:
        hint = "bounds that are the values themselves go with the `_values` form"
        at.warn(f"{kind} takes natural-log exponents: these mean {low:.4g} to {high:.4g}", hint=hint, fix=fix)
    else:
        hint = (
            f"these bounds mean min: {yaml_float(float(f'{low:.4g}'))}, max: {yaml_float(float(f'{high:.4g}'))} there"
        )
        at.warn(f"{kind} is deprecated: its bounds are natural-log exponents", hint=hint, fix=fix)
    return True


def _inverted(low: float, high: float) -> list[float]:
    """Return the range of 1/X where ln X is within the bounds."""
    return [math.exp(-high), math.exp(-low)]


def _gaussian(cursor: Cursor, kind: Kind) -> Gaussian | None:
    quantised = kind.startswith("q_")
    _only(cursor, kind, "mu", "sigma", *(("q",) if quantised else ()))
    mu = cursor.at("mu").number() if "mu" in cursor else 0.0
    sigma = _sigma(cursor) if "sigma" in cursor else 1.0
    q = _q(cursor) if quantised else None
    if mu is None or sigma is None or (quantised and q is None):
        return None
    return Gaussian(kind=kind, mu=float(mu), sigma=float(sigma), q=q)


def _sigma(cursor: Cursor) -> float | None:
    at = cursor.at("sigma")
    if at.data == 0:
        at.error("0 makes every value the same, and W&B NaN", fix="{value: ...}")
        return None
    return at.number_above(0.0)


def _beta(cursor: Cursor, kind: Kind) -> Beta | None:
    quantised = kind.startswith("q_")
    _only(cursor, kind, "a", "b", *(("q",) if quantised else ()))
    a = cursor.at("a").number_above(0.0) if "a" in cursor else 1.0
    b = cursor.at("b").number_above(0.0) if "b" in cursor else 1.0
    q = _q(cursor) if quantised else None
    if a is None or b is None or (quantised and q is None):
        return None
    return Beta(kind=kind, a=float(a), b=float(b), q=q)


def _flow(data: Any) -> str:
    return json.dumps(data, default=str)[:80]
