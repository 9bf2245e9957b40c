"""Messages between two processes: one JSON line each, out of what a socket brings in pieces."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, get_args

if TYPE_CHECKING:
    from typing import Self

Kind = TypeVar("Kind", bound="Message")


@dataclass(frozen=True)
class Message:
    """What one process tells another; each kind has an `OP` of its own, by which its line is known."""

    OP: ClassVar[str]

    def encode(self) -> bytes:
        """Return the message as a line."""
        return (json.dumps({"op": self.OP, **asdict(self)}, default=str) + "\n").encode()

    @classmethod
    def decode(cls, fields: Mapping[str, Any]) -> Self:
        """Return the message that a line's fields are."""
        return cls(**fields)


class Lines:
    """Reads the messages of the other side of a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""

    def read(self) -> list[dict[str, Any]] | None:
        """Wait until something comes; return the lines that are whole by now, None when the other side is gone.

        A side that leaves without having read everything is gone, too: the kernel tells that as an error.
        """
        try:
            chunk = self._connection.recv(1 << 20)
        except OSError:
            return None
        if not chunk:
            return None
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [json.loads(line) for line in lines]


def kinds_of(union: Any) -> dict[str, type[Any]]:
    """Return the kinds of messages of a union by their `OP`."""
    return {kind.OP: kind for kind in get_args(union)}


def decoded(line: Mapping[str, Any], kinds: Mapping[str, type[Kind]]) -> Kind:
    """Return the message of a line that has been read."""
    return kinds[line["op"]].decode({name: value for name, value in line.items() if name != "op"})
