"""Converts a command line's plain values itself: what Typer converts the others with is slow to import."""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLAIN = (str, int, float, bool)
NUMBERS = {int: re.compile(r"[0-9]{1,9}"), float: re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")}
"""Numbers that Python and pydantic read alike, by type."""


@dataclass(frozen=True, slots=True)
class PlainValues:
    """Stands before what Typer converts a parameter's values with: pydantic, whose import takes 0.12 s of processor time.

    Attributes:
        annotation: The parameter's type.
        rules: What Typer was told about its values.
        conversion: Returns what Typer has for the parameter; called when a value needs it, or is wrong.
    """

    annotation: Any
    rules: Any
    conversion: Callable[[], Any]

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return a value as the command wants it.

        Raises:
            BadParameter: It is none of the parameter's type.
        """
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if self.annotation in PLAIN and type(value) is self.annotation:
            return value
        if self.annotation == list[str] and isinstance(value, list | tuple):
            return list(value)
        if isinstance(value, str) and self._is_number(value):
            return self.annotation(value)
        if isinstance(value, str) and self._is_path(value):
            return Path(value)
        return self.conversion().coerce(value, param=param, ctx=ctx)

    def _is_number(self, value: str) -> bool:
        """Whether it is one that the parameter may have."""
        form, least, most = NUMBERS.get(self.annotation), self.rules.min, self.rules.max
        if form is None or form.fullmatch(value) is None:
            return False
        return (least is None or float(value) >= least) and (most is None or float(value) <= most)

    def _is_path(self, value: str) -> bool:
        """Whether it is one where the parameter may have any that can be read, and it can, or is not there yet."""
        rules = self.rules
        strict = rules.exists or rules.writable or rules.resolve_path or rules.allow_dash or rules.path_type
        if self.annotation is not Path or strict or not (rules.file_okay and rules.dir_okay):
            return False
        return os.access(value, os.R_OK) or not os.path.exists(value)  # noqa: PTH110 - Path's raises where it cannot look


def take_plain_values(params: Iterable[Any]) -> None:
    """Let a command's parameters take plain values as they are; a Typer that converts otherwise is left alone."""
    for param in params:
        conversion = getattr(param, "get_runtime_param", None)
        if conversion is not None:
            plain = PlainValues(param.type_descriptor.annotation, param.type_descriptor.parameter_info, conversion)
            param.get_runtime_param = lambda plain=plain: plain
