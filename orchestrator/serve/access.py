"""Who may read and who may steer: the token, and the headers by which other sites' pages and other names are told apart."""

import hashlib
import hmac
import ipaddress
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator import confined
from orchestrator.errors import SweepError

SHORTEST = 16
"""Characters of a token: fewer could be guessed."""

LONGEST = 512
LOOPBACK_NAMES = frozenset({"localhost", "localhost.", "ip6-localhost"})
ENVIRONMENT = "SWEEP_SERVE_TOKEN"
_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Access:
    """What a request has to bring.

    Attributes:
        digest: Of the token that controls need, and where the server is open to others reading as well.
        is_open: Whether it listens on more than the loopback address.
    """

    digest: str
    is_open: bool

    def refusal(self, headers: Mapping[str, str], *, steers: bool) -> tuple[int, str] | None:
        """Return the status and the words by which a request is refused; None for one that is welcome.

        Args:
            headers: The request's, by name in lower case.
            steers: Whether it asks for something to be done.
        """
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self.is_open and not is_loopback(hostname(host)):
            return 403, f"this server answers to localhost, not to {host!r:.100}"
        if origin is not None and origin not in {f"http://{host}", f"https://{host}"}:
            return 403, f"a page of {origin!r:.100} may not ask this server for anything"
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return 403, "a page of another site may not ask this server for anything"
        if (steers or self.is_open) and not self._is_known(headers.get("authorization", "")):
            return 401, "this needs the token: open the address that `sweep serve` printed"
        return None

    def _is_known(self, authorization: str) -> bool:
        if authorization[: len(_BEARER)].lower() != _BEARER:
            return False
        given = authorization[len(_BEARER) :].strip()
        return hmac.compare_digest(digest_of(given), self.digest)


def hostname(host: str) -> str:
    """Return the name in a ``Host`` header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def is_loopback(name: str) -> bool:
    """Return whether a name or address is this machine for itself alone; other names may lead anywhere."""
    if name.lower() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def token_from(path: Path | None) -> str | None:
    """Return the token of a file, else of ``SWEEP_SERVE_TOKEN``; None where neither is given. A file that is not there is made.

    Raises:
        SweepError: Others may read the file, or what it holds is no token.
    """
    if path is not None:
        return _of_file(path)
    given = os.environ.get(ENVIRONMENT)
    return None if given is None else _checked(given, ENVIRONMENT)


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(24)


def digest_of(token: str) -> str:
    """Return what tells a token, and does not give it away: its SHA-256 in hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _of_file(path: Path) -> str:
    try:
        if not path.exists() and not path.is_symlink():
            return _make(path)
        mode = path.stat().st_mode
        if stat.S_ISREG(mode) and mode & 0o077:
            raise SweepError(f"{path}: others may read it (mode {stat.S_IMODE(mode):o}).\n  chmod 600 {path}")
        text = confined.read_text(path, path.resolve().parent, most=LONGEST + 2, errors="replace")
    except OSError as error:
        raise SweepError(f"{path}: {error.strerror or error}") from error
    return _checked(text.strip(), str(path))


def _make(path: Path) -> str:
    token = new_token()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{token}\n")
    return token


def _checked(token: str, where: str) -> str:
    if not (SHORTEST <= len(token) <= LONGEST and token.isascii() and token.isprintable() and " " not in token):
        raise SweepError(
            f"{where}: the token must be {SHORTEST} to {LONGEST} printable ASCII characters without blanks;"
            f" this one has {len(token)}.\n  Leave out the file to have one made, or: openssl rand -hex 24"
        )
    return token
