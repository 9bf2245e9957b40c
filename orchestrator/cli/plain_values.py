"""Takes a command line's values that need no conversion as they are: what Typer converts the others with is slow to import."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

PLAIN = (str, int, float, bool)


@dataclass(frozen=True, slots=True)
class PlainValues:
    """Stands before what Typer converts a parameter's values with: pydantic, whose import takes 0.12 s of processor time.

    Attributes:
        annotation: The parameter's type.
        conversion: Returns what Typer has for the parameter; called when a value needs it.
    """

    annotation: Any
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
        return self.conversion().coerce(value, param=param, ctx=ctx)


def take_plain_values(params: Iterable[Any]) -> None:
    """Let a command's parameters take plain values as they are; a Typer that converts otherwise is left alone."""
    for param in params:
        conversion = getattr(param, "get_runtime_param", None)
        if conversion is not None:
            plain = PlainValues(param.type_descriptor.annotation, conversion)
            param.get_runtime_param = lambda plain=plain: plain
