"""The reading half of a WebSocket (RFC 6455): text that a server sends, for as long as it sends some."""

import base64
import hashlib
import os
import socket
import struct
from collections.abc import Iterator, Mapping

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

QUIET_S = 20.0
"""A server that was silent for so long is asked whether it is there; after as long again it is not."""

MOST_BYTES = 16 << 20
"""The longest message that is taken."""

MOST_HEAD = 64 << 10

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class RefusedError(Exception):
    """The server answers otherwise: with a status of its own, and a body."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


def messages(link: socket.socket, *, host: str, path: str, headers: Mapping[str, str]) -> Iterator[str]:
    """Yield what a server sends until it ends the conversation; the link is closed by the caller.

    Args:
        link: Connected to it, through TLS or not.
        host: What it is called.
        path: What is asked of it.
        headers: What is said besides.

    Raises:
        RefusedError: It has no WebSocket there.
        OSError: The connection is lost, or what comes is no WebSocket.
    """
    link.settimeout(QUIET_S)
    reader = _Reader(link)
    _shake_hands(link, reader, host=host, path=path, headers=headers)
    message = b""
    while True:
        is_last, kind, data = _frame(reader)
        if kind == CLOSE:
            return
        if kind == PING:
            _send(link, PONG, data)
        elif kind in {0, TEXT}:
            message += data
            if len(message) > MOST_BYTES:
                raise ConnectionError(f"a message of more than {MOST_BYTES >> 20} MiB")
            if is_last:
                yield message.decode("utf-8", "replace")
                message = b""


class _Reader:
    """Bytes of a connection, which is asked for a sign of life when it has been quiet."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._kept = b""
        self.is_open = False

    def take(self, n: int) -> bytes:
        while len(self._kept) < n:
            self._more()
        taken, self._kept = self._kept[:n], self._kept[n:]
        return taken

    def take_head(self) -> bytes:
        while b"\r\n\r\n" not in self._kept:
            if len(self._kept) > MOST_HEAD:
                raise ConnectionError("an answer without an end")
            self._more()
        head, _, self._kept = self._kept.partition(b"\r\n\r\n")
        return head

    def _more(self) -> None:
        try:
            data = self._link.recv(1 << 16)
        except TimeoutError:
            if not self.is_open:
                raise
            _send(self._link, PING, b"")
            data = self._link.recv(1 << 16)
        if not data:
            raise ConnectionError("the connection was closed")
        self._kept += data


def _shake_hands(link: socket.socket, reader: _Reader, *, host: str, path: str, headers: Mapping[str, str]) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    link.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    status, _, rest = reader.take_head().decode("latin-1").partition("\r\n")
    words = status.split(" ", 2)
    if len(words) < 2 or not words[1].isdecimal():
        raise ConnectionError(f"no HTTP: {status[:80]!r}")
    fields = dict(line.lower().split(": ", 1) for line in rest.split("\r\n") if ": " in line)
    if words[1] != "101":
        length = fields.get("content-length", "0")
        body = reader.take(min(int(length), MOST_HEAD) if length.isdecimal() else 0)
        raise RefusedError(int(words[1]), body.decode("utf-8", "replace"))
    accepted = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()  # noqa: S324 - the protocol's
    if fields.get("sec-websocket-accept") != accepted.lower():
        raise ConnectionError("what answers is no WebSocket")
    reader.is_open = True


def _frame(reader: _Reader) -> tuple[bool, int, bytes]:
    """Whether a frame is the last of its message, its kind, and what is in it."""
    first, second = reader.take(2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack(">H", reader.take(2))
    elif length == 127:
        (length,) = struct.unpack(">Q", reader.take(8))
    if length > MOST_BYTES or second & 0x80 or first & 0x70:
        raise ConnectionError("a frame that is none of a server's")
    return bool(first & 0x80), first & 0x0F, reader.take(length)


def _send(link: socket.socket, kind: int, data: bytes) -> None:
    """Send a short frame, masked as a client's has to be."""
    mask = os.urandom(4)
    data = data[:125]
    masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))
    link.sendall(bytes([0x80 | kind, 0x80 | len(data)]) + mask + masked)
