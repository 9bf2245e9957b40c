"""What a node without the shared disk has to send: the directories of its trials, and the ends that wait for them."""

import pickle
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.execution.shipping.parts import Check, Part
from orchestrator.execution.shipping.sender import BATCH_BYTES, Sender, size_of
from orchestrator.layout import UPLOADS
from orchestrator.trial.contract.events import Ended

LOOK_S = 0.05
"""How often is looked for something to send."""

LEFT_OUT = (UPLOADS,)
"""What of a trial's directory belongs to the controller's machine alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """What the copy of one trial's directory is to do.

    Attributes:
        settles: Whether the attempt's end may be believed then.
        missing: Files that did not arrive before that: they were replaced faster than they travel.
    """

    trial: int
    attempt: int
    parts: Sequence[Part]
    settles: bool
    missing: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """What has to be done at once; it stays until its outcome is told.

    Attributes:
        number: From 1, in the order in which they are to be done. One without anything in it does not count.
        more: Whether there was more to send at once.
        drained: Whether nothing follows after a `finish`.
    """

    number: int
    shipped: Sequence[Shipped] = ()
    more: bool = False
    drained: bool = False

    @property
    def n_bytes(self) -> int:
        """Bytes of files in it."""
        return sum(size_of(each.parts) for each in self.shipped)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a shipment that was done.

    Attributes:
        number: Its number.
        wrong: Files of trials that are different there, though they should not be.
        refused: Attempts whose files nobody wants from here any more: their trials were given to another worker.
    """

    number: int
    wrong: Mapping[int, Sequence[str]]
    refused: Sequence[tuple[int, int]] = ()


def encoded(shipment: Shipment) -> list[Any]:
    """Return a shipment as a pickle and the buffers that belong to it: what carries them need not copy those."""
    buffers: list[pickle.PickleBuffer] = []
    return [pickle.dumps(shipment, protocol=5, buffer_callback=buffers.append), *buffers]


def decoded(message: Sequence[Any]) -> Shipment:
    """Return the shipment that `encoded` was given; its bytes are the message's."""
    shipment: Shipment = pickle.loads(message[0], buffers=message[1:])  # noqa: S301  from our own worker
    return shipment


def all_parts(sender: Sender, n_bytes: int = BATCH_BYTES) -> list[Part]:
    """Return everything that a sender has to tell now, about `n_bytes` of it at most: an end is told in one go."""
    parts: list[Part] = []
    while (left := n_bytes - size_of(parts)) > 0 and (more := sender.parts(left)):
        parts += more
    return parts


class Outbox:
    """Holds the directories of the trials that run, or ran, on a node. Threads may call it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._senders: dict[int, Sender] = {}
        self._places: dict[int, tuple[int, Path]] = {}
        self._held: dict[int, Ended] = {}
        self._released: list[Ended] = []
        self._sent: dict[int, Shipment] = {}
        self._n_done = 0
        self._turn = 0
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

    def pull(self, number: int, outcomes: Sequence[Outcome], timeout_s: float, n_bytes: int = BATCH_BYTES) -> Shipment:
        """Return a shipment as soon as there is something to send, an empty one after `timeout_s` seconds.

        Args:
            number: Which one; it comes again until its outcome was told. Several may be asked for at once.
            outcomes: Of shipments before; they may come again.
            timeout_s: Seconds to wait for news.
            n_bytes: About how many bytes of files it may have.
        """
        until_s = time.monotonic() + timeout_s
        with self._lock:
            self._take(outcomes)
            while number not in self._sent:
                drained = False
                if number == self._n_done + len(self._sent) + 1:
                    shipped = self._collect(n_bytes)
                    more = any(sender.has_more for sender in self._senders.values())
                    if shipped:
                        self._sent[number] = Shipment(number=number, shipped=tuple(shipped), more=more)
                        self._lock.notify_all()
                        break
                    drained = self._finishing and not self._sent and all(s.is_settled for s in self._senders.values())
                if drained or time.monotonic() >= until_s:
                    return Shipment(number=number, drained=drained)
                self._lock.wait(LOOK_S)
            return self._sent[number]

    def _take(self, outcomes: Sequence[Outcome]) -> None:
        """Take in what became of shipments; once."""
        for outcome in outcomes:
            shipment = self._sent.pop(outcome.number, None)
            if shipment is not None:
                self._n_done = outcome.number
                for each in shipment.shipped:
                    self._arrived(each, outcome)
                for trial, attempt in outcome.refused:
                    if trial not in self._places or self._places[trial][0] <= attempt:
                        self._drop(trial)

    def _arrived(self, shipped: Shipped, outcome: Outcome) -> None:
        sender = self._senders.get(shipped.trial)
        if sender is not None and any(isinstance(part, Check) for part in shipped.parts):
            sender.heard(outcome.wrong.get(shipped.trial, ()))
        held = self._held.get(shipped.trial)
        if shipped.settles and held is not None and held.attempt == shipped.attempt:
            self._released.append(self._held.pop(shipped.trial))

    def _collect(self, n_bytes: int) -> list[Shipped]:
        """What all trials have to tell: those first that have ended, the others in turns; of those that come late only tails."""
        shipped: list[Shipped] = []
        left = n_bytes
        self._turn += 1
        trials = list(self._senders)
        turn = self._turn % max(1, len(trials))
        for trial in sorted([*trials[turn:], *trials[:turn]], key=lambda each: each not in self._held):
            sender = self._senders[trial]
            before = sender.is_settled
            parts = all_parts(sender, left) if trial in self._held and left > 0 else sender.parts(left)
            if parts:
                attempt = self._places[trial][0]
                settles = sender.is_settled and not before
                missing = sender.missing if settles else ()
                shipped.append(Shipped(trial=trial, attempt=attempt, parts=parts, settles=settles, missing=missing))
                left -= size_of(parts)
            elif sender.is_quiet and trial not in self._held:
                self._drop(trial)
        return shipped

    def _drop(self, trial: int) -> None:
        """Remove the directory of a trial that is over here."""
        sender = self._senders.pop(trial, None)
        if sender is not None:
            sender.close()
            shutil.rmtree(self._places.pop(trial)[1], ignore_errors=True)
        if trial in self._held:
            self._released.append(self._held.pop(trial))
