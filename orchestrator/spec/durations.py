"""Durations as people write them: ``90s``, ``15m``, ``2h``, ``1h30m``, ``2d``, or a number of seconds."""

import math
import re
from decimal import Decimal

UNITS_S = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_TEXT = re.compile(r"(?:(?P<d>[0-9.]+)d)?(?:(?P<h>[0-9.]+)h)?(?:(?P<m>[0-9.]+)m(?:in)?)?(?:(?P<s>[0-9.]+)s?)?")


def parse_duration(value: str | float) -> float | None:
    """Return a duration in seconds, greater than 0 and finite; None when the value is none."""
    if isinstance(value, str):
        value = _seconds(value.strip().lower().replace(" ", ""))
    return float(value) if math.isfinite(value) and value > 0 else None


def _seconds(text: str) -> float:
    match = _TEXT.fullmatch(text)
    if match is None:
        return math.nan
    try:
        return sum(float(number) * UNITS_S[unit] for unit, number in match.groupdict().items() if number)
    except ValueError:
        return math.nan


def format_duration(seconds: float) -> str:
    """Return a duration as text that `parse_duration` reads back exactly."""
    return f"{Decimal(repr(float(seconds))):f}s".replace(".0s", "s")
