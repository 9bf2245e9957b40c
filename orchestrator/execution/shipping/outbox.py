"""What a node without the shared disk has to send: the directories of its trials, and the ends that wait for them."""

import pickle
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.execution.shipping.parts import Check, Part
from orchestrator.execution.shipping.sender import BATCH_BYTES, Sender
from orchestrator.trial.contract.events import Ended

LOOK_S = 0.05
"""How often is looked for something to send."""

LEFT_OUT = (".upload",)
"""What of a trial's directory belongs to the controller's machine alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """What the copy of one trial's directory is to do. `settles`: then the attempt's end may be believed."""

    trial: int
    attempt: int
    parts: Sequence[Part]
    settles: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """Numbered from 1; it stays until the next call acknowledges it. `drained`: nothing follows after a `finish`."""

    number: int
    shipped: Sequence[Shipped] = ()
    drained: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of the last shipment.

    Attributes:
        number: It arrived, and everything before it.
        wrong: Files of trials that are different there, though they should not be.
        refused: Trials whose files nobody wants from here any more: they were given to another worker.
    """

    number: int = 0
    wrong: Mapping[int, Sequence[str]]
    refused: Sequence[int] = ()


def all_parts(sender: Sender) -> list[Part]:
    """Return everything that a sender has to tell now, about `BATCH_BYTES` of it at most: an end is told in one go."""
    parts: list[Part] = []
    size = 0
    while size < BATCH_BYTES and (more := sender.parts()):
        parts += more
        size += sum(len(getattr(part, "data", b"")) for part in more)
    return parts


class Outbox:
    """Holds the directories of the trials that run, or ran, on a node. Threads may call it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._senders: dict[int, Sender] = {}
        self._places: dict[int, tuple[int, Path]] = {}
        self._held: dict[int, Ended] = {}
        self._released: list[Ended] = []
        self._last = Shipment(number=0)
        self._finishing = False

    @property
    def holds_ends(self) -> bool:
        """Whether an end waits until its trial's files have arrived."""
        return bool(self._held or self._released)

    def has(self, trial: int) -> bool:
        """Whether the directory of a trial is still here, from an attempt before."""
        with self._lock:
            return trial in self._senders

    def begin(self, trial: int, attempt: int, place: Path) -> None:
        """An attempt begins in a directory that came from the controller, or is here from the attempt before."""
        with self._lock:
            if trial in self._senders:
                self._senders[trial].go_on()
            else:
                self._senders[trial] = Sender(place, left_out=LEFT_OUT, is_copied=True)
            self._places[trial] = (attempt, place)

    def forget(self, trial: int) -> None:
        """Remove what is here of a trial that ran elsewhere meanwhile."""
        with self._lock:
            self._drop(trial)

    def hold(self, ended: Ended) -> None:
        """Keep an end back until everything of its trial has arrived."""
        with self._lock:
            if ended.trial not in self._senders:
                self._released.append(ended)
                return
            self._held[ended.trial] = ended
            self._senders[ended.trial].finish()
            self._lock.notify_all()

    def released(self) -> list[Ended]:
        """Return the ends that may be believed now."""
        with self._lock:
            released, self._released = self._released, []
            return released

    def finish(self) -> None:
        """Nothing runs any more: send the rest."""
        with self._lock:
            self._finishing = True
            for trial, sender in self._senders.items():
                if trial not in self._held and not sender.is_settled:
                    sender.finish()

    def pull(self, receipt: Receipt, timeout_s: float) -> bytes:
        """Return a pickled `Shipment` as soon as there is something to send, an empty one after `timeout_s` seconds."""
        until_s = time.monotonic() + timeout_s
        with self._lock:
            while self._last.number <= receipt.number:
                self._take(receipt)
                shipped = self._collect()
                drained = self._finishing and not shipped and all(s.is_settled for s in self._senders.values())
                if shipped or drained or time.monotonic() >= until_s:
                    number = receipt.number + bool(shipped)
                    self._last = Shipment(number=number, shipped=tuple(shipped), drained=drained)
                    break
                self._lock.wait(LOOK_S)
            return pickle.dumps(self._last, protocol=5)

    def _take(self, receipt: Receipt) -> None:
        """Take in what became of the last shipment; once."""
        shipped, self._last = self._last.shipped, Shipment(number=receipt.number)
        for each in shipped:
            sender = self._senders.get(each.trial)
            if sender is not None and any(isinstance(part, Check) for part in each.parts):
                sender.heard(receipt.wrong.get(each.trial, ()))
            if each.settles and each.trial in self._held and self._held[each.trial].attempt == each.attempt:
                self._released.append(self._held.pop(each.trial))
        for trial in receipt.refused:
            self._drop(trial)

    def _collect(self) -> list[Shipped]:
        shipped: list[Shipped] = []
        size = 0
        for trial, sender in sorted(self._senders.items(), key=lambda each: each[0] in self._held, reverse=True):
            before = sender.is_settled
            parts = all_parts(sender) if trial in self._held else sender.parts()
            if parts:
                attempt = self._places[trial][0]
                settles = sender.is_settled and not before
                shipped.append(Shipped(trial=trial, attempt=attempt, parts=parts, settles=settles))
                size += sum(len(getattr(part, "data", b"")) for part in parts)
            elif sender.is_quiet and trial not in self._held:
                self._drop(trial)
            if size >= BATCH_BYTES:
                break
        return shipped

    def _drop(self, trial: int) -> None:
        """Remove the directory of a trial that is over here."""
        sender = self._senders.pop(trial, None)
        if sender is not None:
            sender.close()
            shutil.rmtree(self._places.pop(trial)[1], ignore_errors=True)
        if trial in self._held:
            self._released.append(self._held.pop(trial))
