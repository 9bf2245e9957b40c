"""What a server may send, and what it may not."""

import socket
import threading

import pytest

from orchestrator.remote import websocket
from orchestrator.remote.websocket import RefusedError, messages


def talk(answer):
    """The messages of a server that answers just this and is gone."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        speaks = threading.Thread(target=lambda: (theirs.recv(65536), theirs.sendall(answer), theirs.shutdown(1)))
        speaks.start()
        try:
            return list(messages(ours, host="head", path="/x", headers={"Authorization": "Bearer x"}))
        finally:
            speaks.join()


@pytest.mark.parametrize("answer", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 101 OK\r\n\r\n", b"", b"x" * (70 << 10)])
def test_what_is_no_websocket_is_no_connection(answer):
    """Another server, one that does not know the key, none, and one without an end."""
    with pytest.raises(ConnectionError):
        talk(answer)


def test_a_refusal_is_told_with_its_words():
    """Status and body."""
    with pytest.raises(RefusedError, match="no such job") as caught:
        talk(b"HTTP/1.1 404 Not Found\r\nContent-Length: 11\r\n\r\nno such job")
    assert caught.value.status == 404


@pytest.mark.parametrize("frame", [b"\x81\x7f" + b"\xff" * 8, b"\x81\x85abcdhello", b"\xf1\x00"])
def test_frames_that_no_server_sends_are_refused(frame, monkeypatch):
    """Endless ones, masked ones, and compressed ones."""
    monkeypatch.setattr(websocket, "_shake_hands", lambda *_, **__: None)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(frame)
        with pytest.raises(ConnectionError, match="none of a server's"):
            list(messages(ours, host="head", path="/x", headers={}))
