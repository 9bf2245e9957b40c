"""JSON lines out of what a socket brings in pieces."""

import json
import socket
from typing import Any


class Lines:
    """Reads the messages of the other side of a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""

    def read(self) -> list[dict[str, Any]] | None:
        """Wait until something comes; return the messages that are whole by now, None when the other side is gone.

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
