"""Where a head is, and how it is reached: ``http://HOST:8265`` (Ray's job server) or ``ssh://USER@HOST``."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from orchestrator.errors import SweepError

JOB_PORT = 8265
"""Where Ray's job server listens by default."""

HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|[0-9A-Fa-f:.]+(?:%[A-Za-z0-9]+)?")
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")

ALLOWED = (
    "  It is http://HOST:8265 or https://HOST, Ray's job server, or ssh://USER@HOST; /PATH behind it is the environment "
    "there that has `sweep`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A head.

    Attributes:
        scheme: ``http``, ``https`` or ``ssh``.
        host: Its name or IP address.
        port: None for ssh's own.
        user: For ssh; None for whom ssh takes.
        place: The environment's folder there that has `sweep`; None to find it.
    """

    scheme: str
    host: str
    port: int | None = None
    user: str | None = None
    place: str | None = None

    @property
    def is_ssh(self) -> bool:
        """Whether it is reached by ssh."""
        return self.scheme == "ssh"

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{user}{host}{port}{self.place or ''}"


def parse_address(text: str) -> Address:
    """Return the head that a text means.

    Raises:
        SweepError: It means none; says what is allowed.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise SweepError(f"{text!r} is no address of a head: {error}.\n{ALLOWED}") from None
    if parts.scheme not in {"http", "https", "ssh"}:
        raise SweepError(f"{text!r} is no address of a head{_meant(text)}.\n{ALLOWED}")
    host, user = parts.hostname or "", unquote(parts.username) if parts.username else None
    if not HOST.fullmatch(host) or not _is_resolvable(host) or (user is not None and not USER.fullmatch(user)):
        raise SweepError(f"{text!r} names no host, or an odd one.\n{ALLOWED}")
    if parts.password or (user and parts.scheme != "ssh"):
        raise SweepError(
            f"an address has no password in it, and http:// no user: both would be seen by everybody on this machine.\n"
            f"  Ray's token is read from RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token.\n{ALLOWED}"
        )
    if parts.query or parts.fragment:
        raise SweepError(f"{text!r} has more in it than an address.\n{ALLOWED}")
    place = unquote(parts.path).rstrip("/") or None
    if parts.scheme == "http" and port is None:
        port = JOB_PORT
    return Address(scheme=parts.scheme, host=host, port=port, user=user, place=place)


def _is_resolvable(host: str) -> bool:
    """Whether a name can be asked for: its parts are neither empty nor too long."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _meant(text: str) -> str:
    """What somebody may have meant, by what they wrote."""
    if text.startswith("ray://"):
        return ", but one of Ray's client: programs reach a cluster by it, sweeps do not"
    if text == "auto" or re.fullmatch(r"[\w.-]+:6379", text):
        return ": `sweep run --address` takes it, on a machine of the cluster"
    return ""
