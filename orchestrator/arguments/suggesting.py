"""What of a script's arguments a first sweep tunes, and over which ranges: by their names, defaults and choices."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from orchestrator.arguments.model import Argument, Kind

Range: TypeAlias = Mapping[str, Any]
"""A parameter as a spec has it: ``{min: 0.0, max: 0.5}``."""

NEVER = re.compile(
    r"seed|epoch|step|iter|worker|thread|device|gpu|cuda|cpu|nodes?$|rank|path|dir|folder|file|output|log|name|project|entity|host|port|url"
    r"|debug|verbose|quiet|resume|checkpoint|ckpt|save|load|eval|every|interval|freq|test|version|tag|help|config|dataset|data$|tracking"
    r"|image|img|crop|seq_|context|max_|min_|wandb|n_classes|num_classes|patience|download|profile|precision|compile|pretrained|tokenizer|vocab|id$"
)
"""What says where, how long or how loudly a script runs: names that are not tuned."""

CHOSEN = re.compile(
    r"optim|(^|_)opt$|activation|act$|act_fn|nonlin|sched|norm|init|pool|loss|kernel|augment|policy|criterion|solver|booster"
)
"""What is tuned where the script lists its choices."""

POWERS = re.compile(
    r"batch|hidden|units?$|width|dim|embed|channel|filter|d_model|(^|_)ffn?(_|$)|mlp|n_heads|heads|rank|size$|latent|bins"
)
COUNTS = re.compile(r"layers?|depth|blocks?|stages?|estimators|neighbors|leaves|trees|degree|hops|n_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """An argument of a script in a first spec.

    Attributes:
        name: As the spec names it.
        range: Over what it is tuned, or the value that it has.
        is_tuned: Whether the spec has it; the others are for its user to add.
        why: What to say of it.
    """

    name: str
    range: Range
    is_tuned: bool
    why: str

    @property
    def varies(self) -> bool:
        """Whether it has more than one value."""
        return "value" not in self.range


def suggest(arguments: Sequence[Argument]) -> list[Suggestion]:
    """Return what a first spec says of each argument that can be passed by name.

    Where no name speaks for tuning, every number is tuned.
    """
    found = [each for argument in arguments if argument.options and (each := _suggestion(argument)) is not None]
    if any(each.is_tuned and each.varies for each in found):
        return found
    return [replace(each, is_tuned=each.is_tuned or each.varies) for each in found]


def _suggestion(argument: Argument) -> Suggestion | None:
    name = argument.options[0]
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower())
    default = _number(argument)
    said = "" if argument.default is None else f"default {argument.default}"
    rule = (
        None
        if argument.several or argument.kind in {Kind.FLAG, Kind.BOOLEAN, Kind.ANY_TEXT_IS_TRUE}
        else _rule(plain, default)
    )
    if rule is not None and argument.choices is None:
        return Suggestion(name=name, range=rule, is_tuned=True, why=said)
    if argument.choices and argument.kind is not Kind.FLAG:
        values = [_typed(choice, argument.kind) for choice in argument.choices]
        is_tuned = len(values) > 1 and bool(CHOSEN.search(plain) or (rule is not None))
        is_tuned = is_tuned or (argument.required and len(values) > 1)
        return Suggestion(name=name, range={"values": values}, is_tuned=is_tuned, why=said)
    if argument.required:
        return _needed(argument, name)
    if default is not None and not NEVER.search(plain) and argument.kind not in {Kind.FLAG, Kind.ANY_TEXT_IS_TRUE}:
        return Suggestion(name=name, range=_around(default), is_tuned=False, why=said)
    return None


def _needed(argument: Argument, name: str) -> Suggestion:
    """What the script cannot do without, and whose value nobody but its user knows."""
    value: Any = {Kind.INTEGER: 1, Kind.NUMBER: 1.0, Kind.BOOLEAN: True}.get(argument.kind, CHANGE_ME)
    return Suggestion(
        name=name, range={"value": value}, is_tuned=True, why="the script needs it: write what it is to be"
    )


CHANGE_ME = "CHANGE-ME"
"""The value of what only the user knows."""


def _number(argument: Argument) -> float | int | None:
    """The argument's default where it is a number, also one that is written as text."""
    value = argument.default
    if isinstance(value, str) and argument.kind in {Kind.INTEGER, Kind.NUMBER}:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if argument.kind is Kind.INTEGER else value


def _typed(choice: str, kind: Kind) -> Any:
    try:
        return {Kind.INTEGER: int, Kind.NUMBER: float}.get(kind, str)(choice)
    except ValueError:
        return choice


def _rule(name: str, default: float | None) -> Range | None:
    """The range that a name speaks for."""
    if default is not None and default < 0:
        return None
    for pattern, make in RULES:
        if pattern.search(name):
            return make(default)
    if NEVER.search(name):
        return None
    if POWERS.search(name) and (default is None or _is_whole(default)):
        return _powers(default)
    if COUNTS.search(name) and default is not None and _is_whole(default):
        return _counts(default)
    return None


def _learning_rate(default: float | None) -> Range:
    return _decades(default or 0.001, 1)


def _weight_decay(default: float | None) -> Range:
    return _decades(default or 0.0001, 2)


def _decades(middle: float, n: int) -> Range:
    """From `n` decades below a value to `n` above it, by its logarithm."""
    power = math.floor(math.log10(middle))
    above = power if math.isclose(middle, 10.0**power) else power + 1
    return {"distribution": "log_uniform_values", "min": _tidy(10.0 ** (power - n)), "max": _tidy(10.0 ** (above + n))}


def _dropout(default: float | None) -> Range:
    return {"min": 0.0, "max": 0.5 if (default or 0.0) <= 0.5 else 0.9}


def _momentum(default: float | None) -> Range:
    return {"min": min(0.8, _tidy((default or 0.9) / 2)) if (default or 0.9) < 0.8 else 0.8, "max": 0.99}


def _beta2(default: float | None) -> Range:
    return {"values": sorted({0.95, 0.99, 0.999, *([] if not default else [default])})}


def _smoothing(default: float | None) -> Range:
    return {"min": 0.0, "max": max(0.2, _tidy(2 * (default or 0.1)))}


def _warmup(default: float | None) -> Range | None:
    if default is None:
        return None
    return (
        _smoothing(default)
        if not _is_whole(default) or default == 0
        else {"values": [0, int(default), 4 * int(default)]}
    )


def _gamma(default: float | None) -> Range | None:
    if not default or default >= 1:
        return None
    distance = 1 - default
    return {"min": _tidy(max(0.0, 1 - 5 * distance)), "max": _tidy(1 - distance / 5)}


def _batch_size(default: float | None) -> Range:
    middle = round(math.log2(default)) if default else 6
    return {"values": [2**power for power in range(max(0, middle - 2), middle + 2)]}


def _powers(default: float | None) -> Range:
    """Half, the same, twice and four times, as a power of two that is near."""
    middle = int(default) if default else 128
    return {"values": sorted({max(1, middle // 2), middle, 2 * middle, 4 * middle} if middle > 1 else {1, 2, 4})}


def _counts(default: float) -> Range:
    middle = int(default)
    return {"min": max(1, middle // 2), "max": max(2, 2 * middle)}


def _around(default: float) -> Range:
    """A third of a value to three times it."""
    if _is_whole(default) and isinstance(default, int):
        return (
            {"min": min(default, max(0, default // 3)), "max": max(1, 3 * default)}
            if default >= 0
            else {"value": default}
        )
    if default == 0:
        return {"min": 0.0, "max": 1.0}
    low, high = sorted((_tidy(default / 3), _tidy(default * 3)))
    return {"min": low, "max": high}


def _is_whole(value: float) -> bool:
    return float(value).is_integer()


def _tidy(value: float) -> float:
    """A number with two digits that count."""
    return float(f"{value:.2g}")


RULES: Sequence[tuple[re.Pattern[str], Callable[[float | None], Range | None]]] = (
    (
        re.compile(r"(^|_)(lr|eta)$|(^|_)lr(_|$)(?!.*(decay|step|sched|warm|patience))|learning_?rate$|step_size_lr"),
        _learning_rate,
    ),
    (re.compile(r"lora_(r|rank|alpha)$"), lambda default: _powers(default or 16)),
    (re.compile(r"weight_?decay|(^|_)wd$|(^|_)l[12](_|$)|lambda|regulari[sz]ation"), _weight_decay),
    (re.compile(r"drop_?out|drop_?path|drop_?prob|(^|_)drop(_rate)?$"), _dropout),
    (re.compile(r"label_?smooth|smoothing"), _smoothing),
    (re.compile(r"warm_?up"), _warmup),
    (re.compile(r"momentum|(^|_)beta_?1$"), _momentum),
    (re.compile(r"(^|_)beta_?2$"), _beta2),
    (re.compile(r"(^|_)gamma$|discount"), _gamma),
    (re.compile(r"(^|_)(batch_?size|bs|batch|train_batch_size|mini_?batch)$"), _batch_size),
)
"""What a name speaks for whatever else it says; the first that fits."""
