"""What a sweep's controller and its upload process say to each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from orchestrator.trial.contract.lines import Message, decoded, kinds_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin(Message):
    """Which sweep it is: the first that a process is told.

    Attributes:
        config: The sweep as the server shall show it, as YAML.
        path: The sweep on the server; None to create it.
    """

    OP: ClassVar[str] = "begin"
    config: str
    name: str
    description: str | None
    project: str
    entity: str | None
    path: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch(Message):
    """Send what a trial records: from now on, or to its end if it has ended (`settled`: its processes are gone)."""

    OP: ClassVar[str] = "watch"
    trial: int
    dir: str
    ended: bool
    settled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle(Message):
    """Say when everything is up. `finished` lets the server show the sweep as finished."""

    OP: ClassVar[str] = "settle"
    finished: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedOut(Message):
    """The user has no credentials for a server: the process ends."""

    OP: ClassVar[str] = "logged_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnServer(Message):
    """The sweep is on the server, at a path (``entity/project/id``) and where people look at it."""

    OP: ClassVar[str] = "on_server"
    path: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Message):
    """Where things stand.

    Attributes:
        open: Trials that have ended and whose runs are not completely up.
        trouble: What is in the way now; None when nothing is.
        sent: Runs that went up.
        failed: Trials some of whose runs were given up until the next time.
    """

    OP: ClassVar[str] = "status"
    open: int
    trouble: str | None
    sent: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled(Message):
    """Everything was tried."""

    OP: ClassVar[str] = "settled"
    sent: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut(Message):
    """A file is not sent; the line says why."""

    OP: ClassVar[str] = "left_out"
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined(Message):
    """The server does not let the user create the sweep."""

    OP: ClassVar[str] = "declined"
    why: str


Order: TypeAlias = Begin | Watch | Settle
"""What the process is told."""

News: TypeAlias = LoggedOut | OnServer | Status | Settled | LeftOut | Declined
"""What it tells."""

_ORDERS = kinds_of(Order)
_NEWS = kinds_of(News)


def order_of(line: Mapping[str, Any]) -> Order:
    """Return the order that a line is."""
    order: Order = decoded(line, _ORDERS)
    return order


def news_of(line: Mapping[str, Any]) -> News:
    """Return the news that a line is."""
    news: News = decoded(line, _NEWS)
    return news
