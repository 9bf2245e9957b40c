"""`parameters`: which distribution each entry means, as W&B infers it, and what is wrong with it."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.spec.cursor import YAML_1_1_FLOAT, Cursor, yaml_float
from orchestrator.spec.findings import Mark, near_miss, printable
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

LARGEST_EXPONENT = 700.0
"""exp() of more is infinite in double precision."""


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
    if name and name[0] in NAME_START and all(c in NAME_CHARACTERS for c in name):
        return
    at = Cursor(cursor.value, f"{cursor.where}.{name}", cursor.findings)
    mark: Mark | None = cursor.value.keys.get(name)
    if not name or any(not c.isprintable() for c in name):
        at.error(f"{printable(name)!r} is not a parameter name", mark=mark)
        return
    hint = "W&B wants a letter or _ first, then letters, digits, '_', '.' and '-'; it runs others with a warning"
    at.warn(f"{printable(name)!r} is an unusual parameter name", hint=hint, mark=mark)


def _not_a_mapping(cursor: Cursor) -> None:
    if cursor.value.elements is not None:
        cursor.error(f"{cursor.shown} is a list, not a parameter", fix=f"{{values: {_flow(cursor.data)}}}")
    else:
        cursor.error(f"{cursor.shown} is a value, not a parameter", fix=f"{{value: {_flow(cursor.data)}}}")


def _nested(cursor: Cursor) -> Nested | None:
    for key in cursor.names():
        if key != "parameters":
            hint = "nested parameters have nothing but `parameters` beside each other"
            Cursor(cursor.value, f"{cursor.where}.{key}", cursor.findings).error(
                f"`{printable(key)}` beside `parameters`", hint=hint, mark=cursor.value.keys.get(key)
            )
    inside = read_parameters(cursor.at("parameters"))
    return Nested(parameters=inside) if inside else None


# ---- which distribution ----------------------------------------------------------------------------------------------


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
    for key in cursor.names():
        near = near_miss(key, ALL_KEYS)
        if key not in ALL_KEYS and near:
            cursor.unknown_keys(ALL_KEYS)
            break
    missing = {"min": "max", "max": "min"}
    for one, other in missing.items():
        if one in cursor and other not in cursor:
            cursor.error(f"has `{one}` but no `{other}`")
            return
    if set(cursor.names()) & {"mu", "sigma"}:
        cursor.error("has no `distribution`", fix="distribution: normal")
        return
    hint = "give it `value`, `values`, `min` and `max`, a `distribution`, or nested `parameters`"
    cursor.error("does not say which values it takes", hint=hint)


# ---- one reader per kind ---------------------------------------------------------------------------------------------


def _readers() -> Mapping[Kind, Callable[[Cursor, Kind], Parameter | None]]:
    readers: dict[Kind, Callable[[Cursor, Kind], Parameter | None]] = dict.fromkeys(INTERVALS, _interval)
    readers |= dict.fromkeys(GAUSSIANS, _gaussian) | dict.fromkeys(BETAS, _beta)
    readers[Kind.CONSTANT] = _constant
    readers[Kind.CATEGORICAL] = readers[Kind.CATEGORICAL_W_PROBABILITIES] = _categorical
    return readers


def _only(cursor: Cursor, *keys: str) -> None:
    """W&B refuses a parameter with a key its distribution does not have: it is ambiguous."""
    for key in cursor.names():
        if key == "distribution" or key in keys:
            continue
        near = near_miss(key, keys)
        hint = f"did you mean `{near}`?" if near and near not in cursor else f"this kind takes {', '.join(keys)}"
        at = Cursor(cursor.value, f"{cursor.where}.{key}", cursor.findings)
        at.error(
            f"`{printable(key)}` does not belong to this kind of parameter", hint=hint, mark=cursor.value.keys.get(key)
        )


def _constant(cursor: Cursor, _: Kind) -> Constant | None:
    _only(cursor, "value")
    if "value" not in cursor:
        cursor.error("a constant has a `value`")
        return None
    at = cursor.at("value")
    return Constant(value=_meant(at) if at.value.raw is not None else at.data)


def _categorical(cursor: Cursor, kind: Kind) -> Categorical | None:
    _only(cursor, "values", "probabilities")
    elements = cursor.at("values").list_of("values") if "values" in cursor else None
    if "values" not in cursor:
        cursor.error("has no `values`")
    if not elements:
        if elements is not None:
            cursor.at("values").error("is empty", hint="list at least one value")
        return None
    values = _values(elements)
    if kind is Kind.CATEGORICAL:
        return Categorical(values=values)
    if "probabilities" not in cursor:
        cursor.error("has no `probabilities`", hint="give one per value, or use `distribution: categorical`")
        return None
    probabilities = _probabilities(cursor.at("probabilities"), len(values))
    return None if probabilities is None else Categorical(values=values, probabilities=probabilities)


def _values(elements: list[Cursor]) -> tuple[Any, ...]:
    """The values, with ``1e-5`` among numbers read as the number."""
    numeric = any(isinstance(e.value.data, int | float) and not isinstance(e.value.data, bool) for e in elements)
    like_floats = [e for e in elements if _looks_like_float(e)]
    if not numeric and len(like_floats) < len(elements):
        return tuple(e.data for e in elements)
    return tuple(_meant(e) if e.value.raw is not None else e.data for e in elements)


def _looks_like_float(cursor: Cursor) -> bool:
    data = cursor.value.data
    return isinstance(data, str) and cursor.value.raw is not None and YAML_1_1_FLOAT.fullmatch(data) is not None


def _meant(cursor: Cursor) -> Any:
    return cursor.number() if _looks_like_float(cursor) else cursor.data


def _probabilities(cursor: Cursor, n_values: int) -> tuple[float, ...] | None:
    elements = cursor.list_of("numbers")
    if elements is None:
        return None
    numbers = [element.number_above(0.0, inclusive=True) for element in elements]
    if None in numbers:
        return None
    probabilities = tuple(float(p) for p in numbers if p is not None)
    if len(probabilities) != n_values:
        cursor.error(f"has {len(probabilities)} entries for {n_values} values")
        return None
    total = math.fsum(probabilities)
    if not math.isclose(total, 1.0, rel_tol=1e-5, abs_tol=1e-8):
        shares = ", ".join(f"{p / total:.4g}" for p in probabilities) if total > 0 else None
        cursor.error(f"sums to {total:g}, not to 1", fix=f"[{shares}]" if shares else None)
        return None
    return probabilities


def _interval(cursor: Cursor, kind: Kind) -> Interval | None:
    quantised = kind.startswith("q_")
    _only(cursor, "min", "max", *(("q",) if quantised else ()))
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
        cursor.error(f"int_uniform has whole bounds, not {low!r} and {high!r}", fix="distribution: uniform")
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
    if kind in EXPONENT_BOUNDS:
        return _check_exponents(cursor, interval)
    return interval.q is None or _check_quantised(cursor, interval)


def _check_exponents(cursor: Cursor, interval: Interval) -> bool:
    low, high = float(interval.min), float(interval.max)
    if max(abs(low), abs(high)) > LARGEST_EXPONENT:
        cursor.error(f"exp({max(low, high, key=abs):g}) is out of range", hint=_exponent_hint(interval))
        return False
    if low >= 0:
        cursor.at("distribution").warn(
            f"{interval.kind} takes natural-log exponents: these mean {math.exp(low):.4g} to {math.exp(high):.4g}",
            hint="if the bounds are the values themselves, use the `_values` form",
            fix=f"distribution: {interval.kind}_values",
        )
    else:
        cursor.at("distribution").warn(
            f"{interval.kind} is deprecated: its bounds are natural-log exponents",
            hint=_exponent_hint(interval),
            fix=f"distribution: {interval.kind}_values",
        )
    return True


def _exponent_hint(interval: Interval) -> str:
    def value(exponent: float) -> str:
        return f"{math.exp(exponent):.4g}" if abs(exponent) <= LARGEST_EXPONENT else "out of range"

    return f"these bounds mean {value(float(interval.min))} to {value(float(interval.max))} in the `_values` form"


def _check_quantised(cursor: Cursor, interval: Interval) -> bool:
    assert interval.q is not None
    low, high, q = float(interval.min), float(interval.max), float(interval.q)
    first, last = math.ceil(low / q - 1e-9) * q, math.floor(high / q + 1e-9) * q
    if first > last:
        cursor.error(f"no multiple of q={interval.q!r} lies between {interval.min!r} and {interval.max!r}")
        return False
    unreachable = [name for name, end, bound in (("min", first, low), ("max", last, high)) if not _close(end, bound)]
    if unreachable:
        cursor.at("q" if "q" in cursor else unreachable[0]).warn(
            f"{' and '.join(unreachable)} are out of reach in steps of {interval.q!r}: values are {first:g} to {last:g}",
            hint="W&B rounds beyond the bounds instead; here values stay inside",
        )
    return True


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def _gaussian(cursor: Cursor, kind: Kind) -> Gaussian | None:
    quantised = kind.startswith("q_")
    _only(cursor, "mu", "sigma", *(("q",) if quantised else ()))
    mu = cursor.at("mu").number() if "mu" in cursor else 0.0
    sigma = cursor.at("sigma").number_above(0.0) if "sigma" in cursor else 1.0
    q = _q(cursor) if quantised else None
    if mu is None or sigma is None or (quantised and q is None):
        return None
    return Gaussian(kind=kind, mu=float(mu), sigma=float(sigma), q=q)


def _beta(cursor: Cursor, kind: Kind) -> Beta | None:
    quantised = kind.startswith("q_")
    _only(cursor, "a", "b", *(("q",) if quantised else ()))
    a = cursor.at("a").number_above(0.0) if "a" in cursor else 1.0
    b = cursor.at("b").number_above(0.0) if "b" in cursor else 1.0
    q = _q(cursor) if quantised else None
    if a is None or b is None or (quantised and q is None):
        return None
    return Beta(kind=kind, a=float(a), b=float(b), q=q)


def _flow(data: Any) -> str:
    import json

    return printable(json.dumps(data, default=str))[:80]
