"""The HTTP server: which path is which page, stream or request, and what is refused.

It is Python's own (http.server), a thread per connection. A page has one connection open, and only while it is looked at.
"""

import json
import re
import socket
import sys
import threading
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from orchestrator.errors import SweepError, UnknownSweepError
from orchestrator.layout import SweepDir
from orchestrator.ledger.paths import all_sweeps
from orchestrator.serve import shell
from orchestrator.serve.access import Access
from orchestrator.serve.compare_topic import MOST_TRIALS, CompareTopic
from orchestrator.serve.controls import obey
from orchestrator.serve.hub import Hub
from orchestrator.serve.index_topic import IndexTopic
from orchestrator.serve.sweep_topic import SweepTopic
from orchestrator.serve.topic import Event, Topic
from orchestrator.serve.trial_topic import TrialTopic, named

MOST_CONNECTIONS = 128
"""Connections at once: further ones are closed, so that nobody exhausts threads."""

N_WARM = 3
"""Sweeps that are read when the server starts."""

SILENT_S = 5.0
"""After so long without news a stream says that it lives: so a page notices a dead server, and the server a dead page."""

SLOW_S = 20.0
"""How long a browser may take to send its request, or to take what it is sent."""

LONGEST_BODY = 16 << 10
"""Bytes of a request: one is a few words."""

MOST_FIELDS = 64
"""Fields of an address."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}

_SWEEP = re.compile(r"/sweeps/([\w.-]{1,200})")
_TRIAL = re.compile(r"/sweeps/([\w.-]{1,200})/(\d{1,8})")


class Server(ThreadingHTTPServer):
    """All pages of a runs directory.

    Args:
        address: Host and port to listen on; port 0 is any free one.
        runs: The runs directory.
        access: Who may do what.

    Raises:
        OSError: The address cannot be listened on.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], runs: Path, access: Access) -> None:
        self.runs = runs
        self.access = access
        self.hub = Hub()
        self.executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="analysis")
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._kept: dict[str, SweepDir] = {}
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, Handler)
        self.hub.start()

    def server_bind(self) -> None:
        """Listen. The name of this host is looked up nowhere: that may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def server_close(self) -> None:
        """Listen no more, and let go of every ledger."""
        super().server_close()
        self.hub.close()
        self.executor.shutdown(wait=False, cancel_futures=True)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, unless there are too many."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say a bug on the terminal; a browser that went away is none."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def warm(self) -> None:
        """Read the newest sweeps before anybody asks for them, beside everything else."""

        def read() -> None:
            for sweep_dir in all_sweeps(self.runs)[:N_WARM]:
                with suppress(SweepError), self.hub.following(*self.of_sweep(sweep_dir)) as topic:
                    topic.after(None, 0.0)

        self.executor.submit(read)

    def of_sweep(self, sweep_dir: SweepDir) -> tuple[Hashable, Callable[[], Topic]]:
        """Return the key of a sweep's topic, and what makes it."""
        return ("sweep", sweep_dir.path), lambda: SweepTopic(sweep_dir, self.executor)

    def sweep(self, sweep_id: str) -> SweepDir:
        """Return a sweep of the runs directory by its id.

        Raises:
            UnknownSweepError: There is none.
        """
        known = self._kept.get(sweep_id)
        if known is None or not known.ledger_path.exists():
            self._kept = {sweep_dir.sweep_id: sweep_dir for sweep_dir in all_sweeps(self.runs)}
            known = self._kept.get(sweep_id)
        if known is None:
            raise UnknownSweepError(f"there is no sweep {sweep_id!r:.100} in {self.runs}")
        return known


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "sweep"
    sys_version = ""
    timeout = SLOW_S
    server: Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's own name
        """Say nothing of requests."""

    def do_GET(self) -> None:
        """Send a page, a part of one, or a stream."""
        split = urlsplit(self.path)
        path = split.path
        if path in shell.assets():
            self._send_asset(shell.assets()[path], lasts=True)
        elif (name := page_at(path)) is not None:
            self._send_asset(shell.page(name), lasts=False)
        elif path.startswith("/live/"):
            if not self._is_refused(steers=False):
                self._answer(lambda: self._stream(path.removeprefix("/live"), _query(split.query)))
        else:
            self._send_error(HTTPStatus.NOT_FOUND, f"there is no page {path!r:.100}")

    def do_POST(self) -> None:
        """Do what a page asks for."""
        body = self._body()
        if body is None or self._is_refused(steers=True):
            return
        found = _SWEEP.fullmatch(urlsplit(self.path).path)
        if found is None:
            self._send_error(HTTPStatus.NOT_FOUND, "nothing can be asked there")
            return
        self._answer(lambda: self._send_json({"said": obey(self.server.sweep(found[1]), _json(body))}))

    def _body(self) -> bytes | None:
        """What was sent; None where that is refused, which is said."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST_BODY:
            self.close_connection = True
            self._send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {LONGEST_BODY} bytes may be sent")
            return None
        body = self.rfile.read(int(length))
        if self.headers.get_content_type() != "application/json":
            self._send_error(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "what is sent must be application/json")
            return None
        return body

    def _is_refused(self, *, steers: bool) -> bool:
        headers = {name.lower(): value for name, value in self.headers.items()}
        refusal = self.server.access.refusal(headers, steers=steers)
        if refusal is not None:
            self._send_error(HTTPStatus(refusal[0]), refusal[1])
        return refusal is not None

    def _answer(self, send: Callable[[], None]) -> None:
        """Send an answer, or why there is none."""
        try:
            send()
        except UnknownSweepError as error:
            self._send_error(HTTPStatus.NOT_FOUND, str(error))
        except SweepError as error:
            self._send_error(HTTPStatus.CONFLICT, str(error))

    def _stream(self, path: str, query: Mapping[str, list[str]]) -> None:
        """Send what a page follows, for as long as it does.

        Raises:
            SweepError: There is nothing at that path.
        """
        key, make = self._topic(path, query)
        with self.server.hub.following(key, make) as topic:
            last: str | None = self.headers.get("Last-Event-ID")
            events = topic.after(last, 0.0)
            self.close_connection = True
            self._send_head(HTTPStatus.OK, {"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
            try:
                while not self.server.hub.has_ended:
                    self._send_events(events)
                    last = events[-1].id if events else last
                    events = topic.after(last, SILENT_S)
            except SweepError as error:
                self.wfile.write(_framed("trouble", None, _dumped({"said": str(error)})))

    def _send_events(self, events: list[Event]) -> None:
        chunks = [_framed(event.name, event.id, event.data) for event in events]
        self.wfile.write(b"".join(chunks) or b": here\n\n")
        self.wfile.flush()

    def _topic(self, path: str, query: Mapping[str, list[str]]) -> tuple[Hashable, Callable[[], Topic]]:
        """What is followed at a path.

        Raises:
            UnknownSweepError: Nothing is.
        """
        if path == "/":
            return "index", lambda: IndexTopic(self.server.runs)
        if found := _SWEEP.fullmatch(path):
            return self.server.of_sweep(self.server.sweep(found[1]))
        if found := _TRIAL.fullmatch(path):
            sweep_dir, number = self.server.sweep(found[1]), int(found[2])
            return ("trial", sweep_dir.path, number), lambda: TrialTopic(sweep_dir, number)
        if path == "/compare":
            trials = tuple((self.server.sweep(sweep_id), number) for sweep_id, number in named(query.get("of", [])))
            return ("compare", trials), lambda: CompareTopic(trials)
        raise UnknownSweepError(f"nothing can be followed at {path!r:.100}")

    def _send_asset(self, asset: shell.Asset, *, lasts: bool) -> None:
        """Send a file; one that its address names by what is in it stays in the browser for good."""
        tag = f'"{asset.tag}"'
        cache = "public, max-age=31536000, immutable" if lasts else "no-cache"
        headers = {"Content-Type": asset.kind, "ETag": tag, "Cache-Control": cache}
        if not lasts:
            headers["Content-Security-Policy"] = shell.POLICY
        if self.headers.get("If-None-Match") == tag:
            self._send_head(HTTPStatus.NOT_MODIFIED, headers)
            return
        self._send_head(HTTPStatus.OK, headers | {"Content-Length": str(len(asset.data))})
        self.wfile.write(asset.data)

    def _send_json(self, data: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        body = _dumped(data)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Cache-Control": "no-store"}
        self._send_head(status, headers)
        self.wfile.write(body)

    def _send_error(self, status: HTTPStatus, said: str) -> None:
        self._send_json({"error": said}, status)

    def _send_head(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **headers}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()


def page_at(path: str) -> str | None:
    """Return the name of the page at a path; None where there is none."""
    if path in {"/", "/compare"}:
        return "index" if path == "/" else "compare"
    if _TRIAL.fullmatch(path):
        return "trial"
    return "sweep" if _SWEEP.fullmatch(path) else None


def _query(text: str) -> Mapping[str, list[str]]:
    try:
        return parse_qs(text, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise SweepError(
            f"the address names too much; at most {MOST_FIELDS} fields, of which {MOST_TRIALS} trials"
        ) from error


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise SweepError("what was sent is no JSON") from error


def _dumped(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()


def _framed(name: str, id_: str | None, data: bytes) -> bytes:
    """An event as server-sent events are written; JSON has no line breaks of its own."""
    head = f"event: {name}\n" + (f"id: {id_}\n" if id_ else "")
    return head.encode() + b"data: " + data + b"\n\n"
