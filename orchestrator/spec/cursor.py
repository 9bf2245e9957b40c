"""A place in the spec while it is read: takes values out, and files a finding for each that does not fit."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.spec.durations import parse_duration
from orchestrator.spec.findings import MAX_SHOWN, Finding, Findings, Severity, Word, near_miss
from orchestrator.spec.misreadings import NUMBER, Misreading, Scalar, misreading
from orchestrator.spec.tree import Value

YAML_1_1_FLOAT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+|[-+]\.[0-9]+")
"""What everybody writes for a float and YAML 1.1 reads as a string: an exponent without a dot or a sign, or ``-.5``."""

OCTAL = re.compile(r"[-+]?0[0-7_]+")

CONTROL = frozenset(map(chr, (*range(32), 127)))
LONGEST_SHOWN = 60


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
        """The value as a message shows it: as it was written, with what YAML 1.1 makes of it where that surprises."""
        raw, data = self.value.raw, self.value.data
        if raw is None or isinstance(data, str):
            text = repr(self.data)
            return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."
        if data is None:
            return raw or "nothing"
        return f"{raw} (YAML 1.1 reads it as {json.dumps(data)})" if self.surprises else raw

    @property
    def surprises(self) -> bool:
        """Whether YAML 1.1 reads a word as a boolean (``off``), or digits as octal (``010``) or base 60 (``12:30``)."""
        raw, data = self.value.raw, self.value.data
        if raw is None or isinstance(data, str) or data is None:
            return False
        if isinstance(data, bool):
            return raw.lower() not in {"true", "false"}
        return ":" in raw or OCTAL.fullmatch(raw) is not None

    def error(self, message: str, *, hint: str | None = None, fix: str | None = None) -> None:
        """File an error here."""
        self.file(Severity.ERROR, message, hint=hint, fix=fix)

    def warn(self, message: str, *, hint: str | None = None, fix: str | None = None) -> None:
        """File a warning here."""
        self.file(Severity.WARNING, message, hint=hint, fix=fix)

    def file(self, severity: Severity, message: str, *, hint: str | None = None, fix: str | None = None) -> None:
        """File a finding here."""
        mark = self.value.mark
        self.findings.add(Finding(severity=severity, where=self.where, message=message, hint=hint, fix=fix, mark=mark))

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

    def unknown_keys(
        self,
        allowed: Iterable[str],
        *,
        severity: Severity = Severity.WARNING,
        hints: Mapping[str, str] | None = None,
    ) -> None:
        """File a finding for every key that is not allowed here, with the one that was probably meant.

        Args:
            allowed: The keys that mean something here.
            severity: Of the findings; a key that was set on the command line is meant, and always an error.
            hints: What to do about keys that people are known to write here.
        """
        names = list(allowed)
        unknown = [key for key in self.names() if key not in names]
        for i, key in enumerate(unknown):
            near = near_miss(key, names) if i < MAX_SHOWN else None
            hint = f"did you mean `{near}`?" if near else f"allowed here: {', '.join(names)}"
            hint = (hints or {}).get(key) or self.how_to_write(key, names) or hint
            key_mark = self.value.keys.get(key)
            weight = Severity.ERROR if key_mark is not None and key_mark.option else severity
            message = f"the key `{key[:LONGEST_SHOWN]}` means nothing here" + (
                "" if weight is Severity.ERROR else " and is ignored"
            )
            self.at_key(key).file(weight, message, hint=hint)

    def how_to_write(self, key: str, allowed: Iterable[str]) -> str | None:
        """Return what to write for a key that another key's value became part of, or that is part of a value itself."""
        if not self.at(key).is_null or self.at(key).value.raw != "":
            return None
        glued = re.fullmatch(r"(\w+)\s*[:=]\s*(.*)", key)
        if glued and glued[1] in allowed:
            return f"write `{glued[1]}: {glued[2]}`, with a colon and a space"
        return "a comma begins a new key here: write several values as a list in [ ], and a number without commas"

    def at_key(self, key: str) -> "Cursor":
        """Return a cursor whose findings point at a mapping's key, not at the key's value."""
        assert self.value.items is not None
        place = replace(self.value.items[key], mark=self.value.keys.get(key))
        return Cursor(place, f"{self.where}.{key}" if self.where else key, self.findings)

    def text(self, *, lines: bool = False) -> str | None:
        """Return a string; a number or boolean without quotes is a warning and read as it was written.

        Args:
            lines: Whether it may have several lines.
        """
        data = self.value.data
        if isinstance(data, bool | int | float):
            text = str(data) if self.value.raw is None else self.value.raw
            self.warn(f"{self.shown} is not a string", hint=f"it is read as {text!r}", fix=f'"{text}"')
            return text
        if not isinstance(data, str):
            self.error(f"{self.shown} is not a string")
            return None
        if any(c in data for c in CONTROL - (frozenset("\n\t") if lines else frozenset())):
            self.warn(f"{self.shown} has control characters", hint="they are shown as escapes; remove them")
        return data

    def name(self) -> str | None:
        """Return a string that may become part of a path somewhere: one that leads upwards is an error."""
        text = self.text()
        if text is not None and ".." in re.split(r"[/\\]", text):
            self.error(f"{self.shown} leads out of a directory", hint="a name has no `..` between slashes")
            return None
        return text

    def choice(self, allowed: Iterable[Word]) -> Word | None:
        """Return one of the allowed strings; None with an error when it is none of them."""
        names, data = list(allowed), self.value.data
        if isinstance(data, str) and data in names:
            return names[names.index(data)]
        near = near_miss(data, names) if isinstance(data, str) else None
        hint = (f"did you mean `{near}`? " if near else "") + f"allowed: {', '.join(names)}"
        self.error(f"{self.shown} is not allowed", hint=hint)
        return None

    def number(self) -> int | float | None:
        """Return a finite number; what YAML 1.1 reads as a string though it is a float (``1e-5``) is a warning."""
        data = float(self.value.data) if self.is_bare_float else self.value.data
        if isinstance(data, bool) or not isinstance(data, int | float):
            self._not_a("a number")
            return None
        if not math.isfinite(data):
            self.error(f"{self.shown} is not a finite number")
            return None
        if self.is_bare_float:
            self._warn_of_bare_float(yaml_float(data))
        return data

    def _warn_of_bare_float(self, fix: str) -> None:
        hint = "W&B would use the string; here it is read as the number"
        self.warn(f"YAML 1.1 reads {self.value.data} as a string, not as a number", hint=hint, fix=fix)

    def _not_a(self, what: str) -> None:
        """File an error; a number in quotes gets the fix."""
        data = self.value.data
        quoted = number_in(data) if isinstance(data, str) and self.value.raw is None else None
        if quoted is not None:
            self.error(f"{self.shown} is not {what}", hint="remove the quotes", fix=quoted)
            return
        found = self.misreading(among_numbers=True)
        hint = f"YAML reads a string; meant is {found.meant}" if found else None
        fix = found.fix if found and found.fix and NUMBER.fullmatch(found.fix) else None
        self.error(f"{self.shown} is not {what}", hint=hint, fix=fix)

    def misreading(self, *, among_numbers: bool = False, alone: bool = False) -> Misreading | None:
        """Return what a string without quotes was probably meant to be; None for what is a string, or none at all."""
        text = self.value.data
        if not isinstance(text, str) or not text or self.value.raw is None:
            return None
        return misreading(Scalar(text, among_numbers, alone))

    def integer(self, *, least: int) -> int | None:
        """Return a whole number (``10.0`` and ``1e3`` count as one) of at least `least`."""
        data = float(self.value.data) if self.is_bare_float else self.value.data
        if isinstance(data, float) and data.is_integer():
            data = int(data)
            if self.is_bare_float:
                self._warn_of_bare_float(str(data))
        if isinstance(data, bool) or not isinstance(data, int) or data < least:
            self._not_a(f"a whole number of at least {least}")
            return None
        return data

    @property
    def is_bare_float(self) -> bool:
        """Whether it is a float without quotes that YAML 1.1 reads as a string, such as ``1e-5``."""
        data = self.value.data
        return isinstance(data, str) and self.value.raw is not None and YAML_1_1_FLOAT.fullmatch(data) is not None

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


def number_in(text: str) -> str | None:
    """Return the number that a text is, as YAML 1.1 reads it; None for another text."""
    if len(text) > LONGEST_SHOWN or NUMBER.fullmatch(text) is None:
        return None
    return str(int(text)) if text.lstrip("+-").isdecimal() else yaml_float(float(text))


def yaml_float(value: float) -> str:
    """Return a float as YAML 1.1 reads it back: with a dot, and a sign in the exponent."""
    text = repr(float(value))
    mantissa, e, exponent = text.partition("e")
    if "." not in mantissa:
        mantissa += ".0"
    return mantissa + e + exponent
