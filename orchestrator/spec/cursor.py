"""A place in the spec while it is read: takes values out, and files a finding for each that does not fit."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.spec.durations import parse_duration
from orchestrator.spec.findings import Finding, Findings, Mark, Severity, near_miss, printable
from orchestrator.spec.tree import Value

YAML_1_1_FLOAT = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+")
"""What everybody writes for a float and YAML 1.1 reads as a string: an exponent without a dot or without a sign."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A value, its dotted location, and where findings go."""

    value: Value
    where: str
    findings: Findings

    @property
    def data(self) -> Any:
        """The value without places."""
        return self.value.plain()

    @property
    def shown(self) -> str:
        """The value as a message shows it."""
        text = repr(self.data)
        return printable(text if len(text) <= 60 else text[:57] + "...")

    # ---- findings ----------------------------------------------------------------------------------------------------

    def error(self, message: str, *, hint: str | None = None, fix: str | None = None, mark: Mark | None = None) -> None:
        """File an error here."""
        self._file(Severity.ERROR, message, hint, fix, mark)

    def warn(self, message: str, *, hint: str | None = None, fix: str | None = None, mark: Mark | None = None) -> None:
        """File a warning here."""
        self._file(Severity.WARNING, message, hint, fix, mark)

    def _file(self, severity: Severity, message: str, hint: str | None, fix: str | None, mark: Mark | None) -> None:
        self.findings.add(
            Finding(
                severity=severity, where=self.where, message=message, hint=hint, fix=fix, mark=mark or self.value.mark
            )
        )

    # ---- structure ---------------------------------------------------------------------------------------------------

    @property
    def is_map(self) -> bool:
        """Whether the value is a mapping."""
        return self.value.items is not None

    def __contains__(self, key: str) -> bool:
        return self.value.items is not None and key in self.value.items

    def at(self, key: str) -> "Cursor":
        """Return the cursor of a mapping's value; the key must be there."""
        assert self.value.items is not None
        return Cursor(self.value.items[key], f"{self.where}.{key}" if self.where else key, self.findings)

    def get(self, key: str) -> "Cursor | None":
        """Return the cursor of a mapping's value; None when the key is missing or its value is null."""
        if key not in self or self.at(key).is_null:
            return None
        return self.at(key)

    @property
    def is_null(self) -> bool:
        """Whether the value is null."""
        return self.value.items is None and self.value.elements is None and self.value.data is None

    def names(self) -> list[str]:
        """Return a mapping's keys, in the order written."""
        return list(self.value.items or ())

    def elements(self) -> "Iterator[Cursor]":
        """Yield the cursors of a list's values."""
        for index, value in enumerate(self.value.elements or ()):
            yield Cursor(value, f"{self.where}[{index}]", self.findings)

    def mapping(self, what: str) -> bool:
        """Return whether the value is a mapping; file an error when it is not."""
        if not self.is_map:
            self.error(f"{self.shown} is not {what}")
        return self.is_map

    def list_of(self, what: str) -> "list[Cursor] | None":
        """Return the list's cursors, or None with an error when the value is no list."""
        if self.value.elements is None:
            self.error(f"{self.shown} is not a list of {what}")
            return None
        return list(self.elements())

    def unknown_keys(self, allowed: Iterable[str], *, severity: Severity = Severity.WARNING) -> None:
        """File a finding for every key that is not allowed here, with the one that was probably meant."""
        names = list(allowed)
        for key in self.names():
            if key in names:
                continue
            near = near_miss(key, names)
            hint = f"did you mean `{near}`?" if near else f"allowed here: {', '.join(names)}"
            message = f"the key `{printable(key)}` means nothing here"
            message += "" if severity is Severity.ERROR else " and is ignored"
            at = Cursor(self.value, f"{self.where}.{key}" if self.where else key, self.findings)
            at._file(severity, message, hint, None, self.value.keys.get(key))

    # ---- scalars -----------------------------------------------------------------------------------------------------

    def text(self) -> str | None:
        """Return a string; None with an error when it is none."""
        if isinstance(self.value.data, str):
            return self.value.data
        if isinstance(self.value.data, bool | int | float):
            fix = f'"{self.value.raw}"' if self.value.raw is not None else None
            self.error(f"{self.shown} is not a string", hint="write it in quotes", fix=fix)
            return None
        self.error(f"{self.shown} is not a string")
        return None

    def choice(self, allowed: Iterable[str]) -> str | None:
        """Return one of the allowed strings; None with an error when it is none of them."""
        names = list(allowed)
        if isinstance(self.value.data, str) and self.value.data in names:
            return self.value.data
        near = near_miss(self.value.data, names) if isinstance(self.value.data, str) else None
        hint = f"allowed: {', '.join(names)}" + (f"; did you mean `{near}`?" if near else "")
        self.error(f"{self.shown} is not allowed", hint=hint)
        return None

    def number(self) -> int | float | None:
        """Return a finite number; what YAML 1.1 reads as a string though it is a float (``1e-5``) is a warning."""
        data = self.value.data
        if isinstance(data, str) and self.value.raw is not None and YAML_1_1_FLOAT.fullmatch(data):
            meant = float(data)
            self.warn(
                f"YAML 1.1 reads {data} as a string, not as a number",
                hint="W&B would use the string; here it is read as the number",
                fix=yaml_float(meant),
            )
            return meant
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.error(f"{self.shown} is not a number")
            return None
        if not math.isfinite(data):
            self.error(f"{self.shown} is not a finite number")
            return None
        return data

    def integer(self, *, least: int) -> int | None:
        """Return a whole number (``10.0`` counts as one) of at least `least`."""
        data = self.value.data
        if isinstance(data, float) and data.is_integer():
            data = int(data)
        if isinstance(data, bool) or not isinstance(data, int) or data < least:
            self.error(f"{self.shown} is not a whole number of at least {least}")
            return None
        return data

    def number_above(self, bound: float, *, inclusive: bool = False) -> float | None:
        """Return a number greater than `bound`, or at least `bound`."""
        number = self.number()
        if number is None:
            return None
        if number < bound or (number == bound and not inclusive):
            self.error(f"{self.shown} is not {'at least' if inclusive else 'greater than'} {bound:g}")
            return None
        return number

    def boolean(self) -> bool | None:
        """Return a boolean."""
        if isinstance(self.value.data, bool):
            return self.value.data
        self.error(f"{self.shown} is neither true nor false")
        return None

    def duration_s(self) -> float | None:
        """Return a duration in seconds: a number of seconds, or text like ``90s``, ``2h``, ``1h30m``."""
        data = self.value.data
        seconds = parse_duration(data) if isinstance(data, str | int | float) and not isinstance(data, bool) else None
        if seconds is None:
            self.error(
                f"{self.shown} is not a duration", hint="write 90s, 15m, 2h, 1h30m or a number of seconds above 0"
            )
        return seconds


def yaml_float(value: float) -> str:
    """Return a float as YAML 1.1 reads it back: with a dot, and a sign in the exponent."""
    text = repr(float(value))
    mantissa, e, exponent = text.partition("e")
    if "." not in mantissa:
        mantissa += ".0"
    if e and exponent[0] not in "+-":
        exponent = "+" + exponent
    return mantissa + e + exponent
