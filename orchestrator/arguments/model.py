"""What a script takes on its command line: immutable values, whatever library reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a value has to be."""

    TEXT = "text"
    INTEGER = "a whole number"
    NUMBER = "a number"
    BOOLEAN = "true or false"
    FLAG = "a flag"  # takes no value
    ANY_TEXT_IS_TRUE = "bool()"  # `type=bool` of argparse: every text but the empty is true
    UNKNOWN = "unknown"


class Style(StrEnum):
    """How a parameter is written."""

    OPTIONS = "--name=value"
    ASSIGNMENTS = "name=value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument of a script.

    Attributes:
        name: What the script calls it.
        options: How it is written, without the two dashes; empty for a positional argument.
        choices: The texts that are allowed; None for any.
        required: Whether the script ends without it.
        takes_value: Whether it is known to need a value behind its name.
        several: Whether it takes several words, of the kind each.
        default: Its default as written in the source; None where there is none to be read.
        help: What the script says of it.
    """

    name: str
    options: tuple[str, ...]
    kind: Kind = Kind.UNKNOWN
    choices: tuple[str, ...] | None = None
    required: bool = False
    takes_value: bool = False
    several: bool = False
    default: Any = None
    help: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """All arguments of a script.

    Attributes:
        library: Who reads them.
        known: Those that could be read.
        style: How they are written.
        others: Names under which there may be others: a name, or a prefix that ends in a point; ``""`` for any name.
        abbreviates: Whether the beginning of a name is enough.
        dashes_are_underscores: Whether ``--learning-rate`` is ``--learning_rate``.
        sure: Whether a script that is not given what it needs, or something that it does not take, fails for sure.
        needs_word: Words of which one has to stand before the options, as a subcommand; empty if none.
    """

    library: str
    known: tuple[Argument, ...]
    style: Style = Style.OPTIONS
    others: tuple[str, ...] = ()
    abbreviates: bool = False
    dashes_are_underscores: bool = False
    sure: bool = True
    needs_word: tuple[str, ...] = ()
    _by_option: Mapping[str, Argument] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named = {self._spelled(option): argument for argument in self.known for option in argument.options}
        object.__setattr__(self, "_by_option", named)

    def find(self, name: str) -> Argument | None:
        """Return the argument that an option's name means; None when none is known."""
        spelled = self._spelled(name)
        if spelled in self._by_option:
            return self._by_option[spelled]
        begun = {option for option in self._by_option if option.startswith(spelled)} if self.abbreviates else set()
        return self._by_option[begun.pop()] if len(begun) == 1 else None

    def may_take(self, name: str) -> bool:
        """Return whether an option may be taken that is not known."""
        return any(name == other or (name.startswith(other) and other[-1:] in {"", "."}) for other in self.others)

    @property
    def names(self) -> list[str]:
        """Every option's name."""
        return [option for argument in self.known for option in argument.options]

    def _spelled(self, name: str) -> str:
        return name.replace("-", "_") if self.dashes_are_underscores else name
