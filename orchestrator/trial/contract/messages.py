"""What a runner and its fork server say to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Union

from orchestrator.trial.contract.launch import Launch, launch_of
from orchestrator.trial.contract.lines import Message, decoded, kinds_of

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True)
class Warm(Message):
    """Import what a program will import.

    Attributes:
        launch: An attempt of the program.
        bare: Whether nothing is to be imported: all trials start cold.
    """

    OP: ClassVar[str] = "warm"
    launch: Launch
    bare: bool

    @classmethod
    def decode(cls, fields: Mapping[str, Any]) -> Self:
        """Return the message, with the launch as it was."""
        return cls(launch=launch_of(fields["launch"]), bare=fields["bare"])


@dataclass(frozen=True)
class Start(Message):
    """Start an attempt: forked, or `cold`, in a fresh interpreter."""

    OP: ClassVar[str] = "start"
    launch: Launch
    cold: bool

    @classmethod
    def decode(cls, fields: Mapping[str, Any]) -> Self:
        """Return the message, with the launch as it was."""
        return cls(launch=launch_of(fields["launch"]), cold=fields["cold"])


@dataclass(frozen=True)
class Stopping(Message):
    """A command has been asked to end; it is over when nothing that it started is left."""

    OP: ClassVar[str] = "stopping"
    pid: int


@dataclass(frozen=True)
class Finish(Message):
    """Do what an ended attempt left to do.

    Attributes:
        dir: The trial's directory, whose TensorBoard session ends.
        run_id: The W&B run to finish; None when it is finished.
        exit_code: What it is finished with.
    """

    OP: ClassVar[str] = "finish"
    dir: str
    succeeded: bool
    run_id: str | None
    exit_code: int | None


@dataclass(frozen=True)
class Importing(Message):
    """The server begins to import modules: should it die of that, it is known of what."""

    OP: ClassVar[str] = "importing"
    modules: tuple[str, ...]

    @classmethod
    def decode(cls, fields: Mapping[str, Any]) -> Self:
        """Return the message, with modules as they were."""
        return cls(modules=tuple(fields["modules"]))


@dataclass(frozen=True)
class Ready(Message):
    """The server has imported what it could.

    Attributes:
        failed: Errors by module.
        unsafe: Why nothing may be forked from it; None when it may.
    """

    OP: ClassVar[str] = "ready"
    failed: Mapping[str, str]
    unsafe: str | None


@dataclass(frozen=True)
class Begun(Message):
    """An attempt's process exists. `unsafe` says why it was not forked after all."""

    OP: ClassVar[str] = "begun"
    trial: int
    attempt: int
    pid: int
    time: float
    unsafe: str | None


@dataclass(frozen=True)
class Over(Message):
    """An attempt's process has ended, and what it started with it.

    Attributes:
        code: Its exit code, or minus the signal.
        core_lost: Whether it had lost its W&B core.
    """

    OP: ClassVar[str] = "over"
    trial: int
    attempt: int
    pid: int
    code: int
    core_lost: bool
    time: float


Order = Union[Warm, Start, Stopping, Finish]
"""What a server is told."""

News = Union[Importing, Ready, Begun, Over]
"""What a server tells."""

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
