"""Ray's job server over HTTP, with nothing but the standard library: packages, jobs, and what they print.

Without `ray[default]` on the head there is none: nothing listens at its port then.
"""

import http.client
import json
import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import ClusterError
from orchestrator.remote.address import Address
from orchestrator.remote.websocket import RefusedError, messages

ANSWER_S = 60.0
"""How long an answer may take: a job is accepted when an agent on the head has it."""

MOST_PACKAGE = 100 << 20
"""Bytes that the job server takes as one package."""

MOST_ANSWER = 64 << 20

GONE_S = 60.0
"""How long a connection that was lost is tried again, before the job is left alone."""

AGAIN_S = 1.0

OVER = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a job server says of a job.

    Attributes:
        status: As Ray calls it.
        exit_code: Of its command; None while it runs, and where it never began.
        message: Why it is so.
    """

    status: str
    exit_code: int | None
    message: str

    @property
    def is_over(self) -> bool:
        """Whether it will do no more."""
        return self.status in OVER


class JobServer:
    """The job server of one cluster.

    Args:
        address: Where it is.
        environ: Where a token may be named.
    """

    def __init__(self, address: Address, environ: Mapping[str, str] = os.environ) -> None:
        self._address = address
        self._token = token_of(environ)

    def check(self) -> None:
        """Find out whether a job server answers.

        Raises:
            ClusterError: None does, or not to us; says how to mend it.
        """
        self._answer("GET", "/api/version")

    def upload(self, name: str, package: bytes) -> str:
        """Bring a zip file to the head, unless it has one of that name; return what a job calls it.

        Raises:
            ClusterError: It does not get there.
        """
        path = f"/api/packages/gcs/{name}"
        if self._ask("GET", path)[0] != http.HTTPStatus.OK:
            self._answer("PUT", path, package, kind="application/octet-stream")
        return f"gcs://{name}"

    def start(self, job_id: str, entrypoint: str, *, package: str | None) -> None:
        """Start a job. One of that id that is there already is the same: an answer may have been lost.

        Raises:
            ClusterError: It is not accepted.
        """
        body: dict[str, Any] = {"entrypoint": entrypoint, "submission_id": job_id}
        if package is not None:
            body["runtime_env"] = {"working_dir": package}
        try:
            self._answer("POST", "/api/jobs/", json.dumps(body).encode())
        except ClusterError:
            if self.find(job_id) is None:
                raise

    def find(self, job_id: str) -> Job | None:
        """Return how a job is; None for one that there is not.

        Raises:
            ClusterError: The server does not answer.
        """
        status, body = self._ask("GET", f"/api/jobs/{job_id}")
        if status == http.HTTPStatus.NOT_FOUND:
            return None
        data = self._parsed(status, body)
        code = data.get("driver_exit_code")
        return Job(
            status=str(data.get("status")),
            exit_code=code if isinstance(code, int) else None,
            message=str(data.get("message") or ""),
        )

    def stop(self, job_id: str) -> None:
        """End a job.

        Raises:
            ClusterError: The server does not answer.
        """
        self._answer("POST", f"/api/jobs/{job_id}/stop")

    def follow(self, job_id: str) -> Iterator[str]:
        """Yield what a job prints, from its beginning to its end, across connections that get lost.

        Raises:
            ClusterError: The server is gone for `GONE_S`; the job knows nothing of that.
        """
        seen, lost_s = 0, None
        while True:
            n_now = 0
            try:
                for text in self._tail(job_id):
                    lost_s = None
                    new = text[max(0, seen - n_now) :]
                    n_now += len(text)
                    seen = max(seen, n_now)
                    if new:
                        yield new
                job = self.find(job_id)
                if job is None or job.is_over:
                    return
            except (OSError, ClusterError) as error:
                lost_s = time.monotonic() if lost_s is None else lost_s
                if time.monotonic() - lost_s > GONE_S:
                    raise ClusterError(f"{self._address} has not answered for {GONE_S:.0f} s: {error}") from None
            time.sleep(AGAIN_S)

    def _tail(self, job_id: str) -> Iterator[str]:
        with closing(self._connect()) as link:
            try:
                yield from messages(
                    link, host=self._host(), path=f"/api/jobs/{job_id}/logs/tail", headers=self._headers()
                )
            except RefusedError as refused:
                raise self._error(refused.status, refused.body) from None

    def _connect(self) -> socket.socket:
        port = self._address.port or (443 if self._address.scheme == "https" else 80)
        link = socket.create_connection((self._address.host, port), timeout=ANSWER_S)
        if self._address.scheme != "https":
            return link
        try:
            return ssl.create_default_context().wrap_socket(link, server_hostname=self._address.host)
        except OSError:
            link.close()
            raise

    def _host(self) -> str:
        host = f"[{self._address.host}]" if ":" in self._address.host else self._address.host
        return host if self._address.port is None else f"{host}:{self._address.port}"

    def _headers(self) -> dict[str, str]:
        return {} if self._token is None else {"Authorization": f"Bearer {self._token}"}

    def _answer(self, method: str, path: str, body: bytes | None = None, *, kind: str = "application/json") -> Any:
        """What the server says, as JSON; empty where it says nothing."""
        return self._parsed(*self._ask(method, path, body, kind=kind))

    def _parsed(self, status: int, body: bytes) -> Any:
        text = body.decode("utf-8", "replace")
        if status != http.HTTPStatus.OK:
            raise self._error(status, text)
        try:
            return json.loads(text) if text else {}
        except ValueError:
            raise ClusterError(f"{self._address} is no Ray job server: it says {text[:80]!r}") from None

    def _ask(
        self, method: str, path: str, body: bytes | None = None, *, kind: str = "application/json"
    ) -> tuple[int, bytes]:
        """Status and body of one request; redirections are not followed, since the token would go along."""
        headers = {**self._headers(), **({} if body is None else {"Content-Type": kind})}
        is_secure = self._address.scheme == "https"
        connection = (http.client.HTTPSConnection if is_secure else http.client.HTTPConnection)(
            self._address.host, self._address.port, timeout=ANSWER_S
        )
        try:
            with closing(connection):
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                return answer.status, answer.read(MOST_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise ClusterError(self._no_answer(error)) from None

    def _no_answer(self, error: Exception) -> str:
        why = str(error) or type(error).__name__
        return (
            f"no job server answers at {self._address}: {why}.\n"
            "  Ray's head has one if it was started where `ray[default]` is installed (pip install 'ray[default]'), at port "
            "8265 of its own loopback unless --dashboard-host says otherwise.\n"
            "  From elsewhere: ssh://USER@HOST, which needs none, or a tunnel: ssh -N -L 8265:127.0.0.1:8265 USER@HOST, "
            "then http://127.0.0.1:8265"
        )

    def _error(self, status: int, text: str) -> ClusterError:
        if status in {http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN}:
            what = "refuses the token" if self._token else "asks for a token"
            return ClusterError(
                f"{self._address} {what}. It is the one that the cluster was started with (there: ~/.ray/auth_token).\n"
                "  Here: put it into ~/.ray/auth_token, which only you can read, or name its file in RAY_AUTH_TOKEN_PATH."
            )
        last = text.strip().splitlines()[-1:] or [""]
        return ClusterError(f"{self._address} answers {status}: {last[0][:300]}")


def token_of(environ: Mapping[str, str]) -> str | None:
    """Return Ray's token, from where Ray itself reads it; None where there is none.

    Raises:
        ClusterError: A file is named that cannot be read.
    """
    if environ.get("RAY_AUTH_TOKEN"):
        return _one_line(environ["RAY_AUTH_TOKEN"], "RAY_AUTH_TOKEN")
    named = environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    try:
        return _one_line(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        if not named:
            return None
        raise ClusterError(f"RAY_AUTH_TOKEN_PATH: {path}: {getattr(error, 'strerror', None) or 'is no text'}") from None


def _one_line(text: str, where: str) -> str | None:
    token = text.strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ClusterError(f"{where} holds no token: a token is one word")
    return token or None
