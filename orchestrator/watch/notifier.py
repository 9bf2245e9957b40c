"""Tells people elsewhere what becomes of a sweep; a recipient that fails or hangs holds nothing up."""

import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from orchestrator.errors import ExitCode, SweepError
from orchestrator.printable import clean
from orchestrator.reporting.wording import number
from orchestrator.spec.model import Recipient
from orchestrator.watch.messengers import TERMINAL, Message, NotToldError, check, deliver, kill
from orchestrator.watch.progress import NewBest, Note, Progress, SweepEnded, SweepEvent

BEST_EVERY_S = 600.0
"""A new best is told no more often; the last of those that came meanwhile is told then."""

ALERTS_EVERY_S = 60.0
"""How often a trial's alert is told; the first of those that come meanwhile is told then, and how many more there were."""

MOST_WAITING = 50
"""Messages that wait to be told; where nobody takes them, further ones are dropped."""

END_WAITS_S = 10.0
"""How long the end of a sweep waits until it has been told."""


@dataclass(slots=True)
class _Held:
    """News of one kind that are told every so often.

    Attributes:
        every_s: How often.
        due_s: When the next may be told.
        message: What waits.
        more: How many came after it, or were replaced by it.
    """

    every_s: float
    due_s: float = 0.0
    message: Message | None = None
    more: int = 0


class Notifier:
    """A view that sends what is worth it, from a thread of its own.

    Args:
        recipients: Who is told.
        name: The sweep's, with its id.
        say: Tells the sweep's views that somebody could not be told; called from any thread.
        environ: Where `${NAME}` is looked up.
        clock: Monotonic seconds.
        terminal: Where a bell rings; None for the terminal of this process.
    """

    def __init__(
        self,
        recipients: Sequence[Recipient],
        *,
        name: str,
        say: Callable[[str], object],
        environ: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
        terminal: str | None = None,
    ) -> None:
        environ = environ if terminal is None else {**environ, TERMINAL: terminal}
        self._name = clean(name)
        self._clock = clock
        self._progress: Progress | None = None
        self._best = _Held(BEST_EVERY_S)
        self._alerts = _Held(ALERTS_EVERY_S)
        self._lines = [_Line(recipient, environ, say) for recipient in recipients]

    def event(self, event: SweepEvent) -> None:
        """Tell what somebody who is elsewhere wants to know."""
        match event:
            case SweepEnded():
                self._end(event)
            case NewBest():
                text = f"trial {event.number}: {number(event.value)}"
                self._best.more += self._best.message is not None
                self._best.message = Message(topic="best", title=f"{self._name}: new best", text=text)
            case Note(topic=topic) if topic is not None:
                self._note(topic, event.text)
            case _:
                pass

    def refresh(self, progress: Progress) -> None:
        """Tell what was held back, once its time has come."""
        self._progress = progress
        for held in (self._best, self._alerts):
            if held.message is not None and self._clock() >= held.due_s:
                more = f" (and {held.more} more since the last message)" if held.more else ""
                message, held.message, held.more = held.message, None, 0
                held.due_s = self._clock() + held.every_s
                self._put(Message(topic=message.topic, title=message.title, text=message.text + more))

    def failed(self, error: SweepError) -> None:
        """Tell that the sweep cannot go on, and why: where no `SweepEnded` comes."""
        self._say_end("failed", [clean(line) for line in str(error).splitlines()[:1]])

    def close(self) -> None:
        """Wait a while until all is told, then leave whoever does not take it. Idempotent."""
        until_s = time.monotonic() + END_WAITS_S
        for line in self._lines:
            line.close(max(0.0, until_s - time.monotonic()))

    def _note(self, topic: str, text: str) -> None:
        message = Message(topic=topic, title=f"{self._name}: {topic}", text=clean(text))
        if topic != "alert":
            self._put(message)
        elif self._alerts.message is None:
            self._alerts.message = message
        else:
            self._alerts.more += 1

    def _end(self, end: SweepEnded) -> None:
        word = {ExitCode.NO_TRIAL_SUCCEEDED: "failed", ExitCode.DONE: "done"}.get(end.exit_code, "stopped")
        self._say_end(word, [clean(end.reason)])

    def _say_end(self, word: str, why: Sequence[str]) -> None:
        for held in (self._best, self._alerts):  # the end says the best
            if held is self._alerts and held.message is not None:
                self._put(held.message)
            held.message, held.more = None, 0
        self._put(Message(topic="end", title=f"{self._name}: {word}", text="\n".join([*why, *self._counts()])))

    def _counts(self) -> list[str]:
        progress = self._progress
        if progress is None:
            return []
        counts = {"finished": progress.finished, "stopped early": progress.stopped, "failed": progress.failed}
        lines = [", ".join(f"{n} {what}" for what, n in counts.items() if n) or "no trial ended"]
        best = progress.best
        if best is not None and best.value is not None:
            lines.append(f"best {clean(progress.metric or '')} {number(best.value)} in trial {best.number}")
        return lines

    def _put(self, message: Message) -> None:
        for line in self._lines:
            line.put(message)


class _Line:
    """What waits for one recipient, and the thread that tells it: one that hangs does not keep the others waiting."""

    def __init__(self, recipient: Recipient, environ: Mapping[str, str], say: Callable[[str], object]) -> None:
        self._recipient = recipient
        self._environ = environ
        self._say = say
        self._waiting: deque[Message] = deque()
        self._changed = threading.Condition()
        self._is_busy = False
        self._is_left = False
        self._is_silent = False
        self._process: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self._tell_on, name="notifier", daemon=True).start()

    def put(self, message: Message) -> None:
        """Tell it soon; never waits."""
        with self._changed:
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append(message)
            self._changed.notify_all()

    def close(self, wait_s: float) -> None:
        """Wait until all is told, at most so long; then leave it."""
        with self._changed:
            is_told = self._changed.wait_for(lambda: not (self._waiting or self._is_busy), wait_s)
            self._waiting.clear()
            was_left, self._is_left = self._is_left, True
        if is_told or was_left:
            return
        self._say(f"could not tell {self._recipient.shown} of the end: it took too long")
        if self._process is not None:
            kill(self._process)

    def _tell_on(self) -> None:
        self._attempt(lambda: check(self._recipient, self._environ))  # while there is time to mend it
        while not self._is_left:
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                message, self._is_busy = self._waiting.popleft(), True
            self._attempt(partial(deliver, self._recipient, message, self._environ, began=self._began))

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except NotToldError as error:
            self._complain(str(error))
        except Exception as error:  # noqa: BLE001  # this thread tells what comes later
            self._complain(type(error).__name__)
        else:
            self._is_silent = False

    def _complain(self, why: str) -> None:
        if not (self._is_silent or self._is_left):  # once: the rest would be alike
            self._is_silent = True
            self._say(f"could not tell {self._recipient.shown}: {why}")

    def _began(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
