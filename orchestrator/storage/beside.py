"""The copy of a sweep as its controller sees it: a process beside it, which is told of the end, and whose troubles are said once.

Nothing here waits for a store, but `close`, as long as something arrives there.
"""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.layout import SweepDir
from orchestrator.trial.contract.bounds import one_line
from orchestrator.watch.progress import Progress, SweepEvent

STILL_S = 180.0
"""How long the end of a sweep waits while nothing more arrives, in seconds: a slow line takes a while for a part of a file."""

TROUBLED_S = 8.0
"""The same while the store does not take anything."""

SAY_AFTER_S = 1.0

MOST_NAMED = 5
"""Files that are named at once."""

RESTARTS = 5
"""How often a process that died is started again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the copy stands.

    Attributes:
        left: Files that are still to be sent, as far as was looked.
        size: Their bytes.
        trouble: What is in the way now; None for nothing.
        off: Why nothing is sent any more; None while something may.
        is_done: Whether all of it is there.
        unreadable: Files that cannot be read here, with the reason.
    """

    left: int = 0
    size: int = 0
    trouble: str | None = None
    off: str | None = None
    is_done: bool = False
    unreadable: Mapping[str, str] = field(default_factory=dict)


class StorageBeside:
    """Watches a sweep as a view does, and lets its copy be kept.

    Args:
        sweep_dir: The sweep's directory.
        url: Where the copy goes, in a directory of the sweep's name; None for nowhere.
        say: Called with what there is to say, from the controller's thread.
        later: The command that sends the rest.
    """

    def __init__(self, sweep_dir: SweepDir, url: str | None, *, say: Callable[[str], None], later: str) -> None:
        self._dir = sweep_dir
        self._url = url
        self._tell = say
        self._later = later
        self._process: _Process | None = None
        self._starts = 0
        self._said: str | None = None
        self._has_said_death = False
        self._said_unreadable: set[str] = set()

    def begin(self) -> None:
        """Let it be kept from now on."""
        if self._url is not None and self._process is None:
            self._starts += 1
            self._process = _Process(self._dir, self._url)

    def event(self, event: SweepEvent) -> None:
        """The directory itself says what happens."""

    def refresh(self, progress: Progress) -> None:  # noqa: ARG002 - as every view's
        """Let it be kept from now on, and hear how it goes."""
        self.begin()
        process = self._process
        if process is None:
            return
        self._mention(process.standing)
        self._mention_unreadable(process.standing)
        if not process.has_died:
            return
        self._mention_death(process, f". It is started again, {RESTARTS} times at most")
        if self._starts <= RESTARTS:
            process.close()
            self._process = None
            self.begin()

    def settle(self, is_over: Callable[[], bool] = lambda: False) -> Standing:
        """Wait as long as something arrives until everything is there; then say what is not.

        Args:
            is_over: Asked again and again whether to wait no more.
        """
        process = self._process
        if process is None:
            return Standing()
        process.end()
        began_s = moved_s = time.monotonic()
        before, has_said = process.standing, False
        while not (process.standing.is_done or process.standing.off or process.is_gone or is_over()):
            now_s, standing = time.monotonic(), process.standing
            if (standing.left, standing.size) != (before.left, before.size):
                before, moved_s = standing, now_s
            if now_s - moved_s > (TROUBLED_S if standing.trouble else STILL_S):
                break
            if now_s - began_s > SAY_AFTER_S and not has_said and standing.left and not standing.trouble:
                has_said = True
                self._say(f"{_amount(standing)} still to be sent (Ctrl-C: not now)")
            time.sleep(0.05)
        if process.has_died:
            self._mention_death(process, "")
        standing = process.standing
        self._mention_unreadable(standing)
        self._say_rest(standing)
        return standing

    def close(self) -> None:
        """End the process. What it had not sent is sent the next time."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _say(self, text: str) -> None:
        self._tell(f"copy at {self._url}: {text}")

    def _mention(self, standing: Standing) -> None:
        """Say once what is in the way, and once that it is over."""
        now = standing.off or standing.trouble
        if (now is None) == (self._said is None):
            return
        self._said = now
        if standing.off is not None:
            self._say(f"{standing.off}. Nothing is sent there any more; trials are not affected")
        elif now is not None:
            self._say(f"nothing can be sent ({now}). Trials are not affected; it is tried again and again")
        else:
            self._say("files are sent again")

    def _mention_unreadable(self, standing: Standing) -> None:
        """Say once of each file that it cannot be read."""
        new = {path: why for path, why in standing.unreadable.items() if path not in self._said_unreadable}
        if new:
            self._said_unreadable |= new.keys()
            self._say(f"{_named(new)} cannot be read ({', '.join(sorted(set(new.values())))}): not in the copy")

    def _mention_death(self, process: "_Process", what_next: str) -> None:
        """Say once how it died."""
        if not self._has_said_death:
            self._has_said_death = True
            self._say(f"the process that sends it died ({process.end_of()}){what_next}")

    def _say_rest(self, standing: Standing) -> None:
        if standing.is_done:
            but = f" but {_named(standing.unreadable)}, which cannot be read" if standing.unreadable else ""
            self._say(f"everything is there{but}")
            return
        if standing.off is not None:
            self._mention(standing)
            return
        why = f" ({standing.trouble})" if standing.trouble else ""
        what = f"{_amount(standing)} not there yet" if standing.left else "not everything is there yet"
        self._say(f"{what}{why}; later: {self._later}")


def _named(paths: Collection[str]) -> str:
    first = sorted(paths)[:MOST_NAMED]
    more = f" and {len(paths) - len(first):,} more" if len(paths) > len(first) else ""
    return ", ".join(one_line(path, 300) for path in first) + more


def _amount(standing: Standing) -> str:
    return "1 file is" if standing.left == 1 else f"{standing.left:,} files ({standing.size / 2**20:,.1f} MiB) are"


class _Process:
    """The process, and what it said last."""

    def __init__(self, sweep_dir: SweepDir, url: str) -> None:
        self.standing = Standing()
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestrator.storage.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
        )
        self._last_words = b""
        self._thread = threading.Thread(target=self._hear, name="storage", daemon=True)
        self._thread.start()
        self._errors = threading.Thread(target=self._hear_errors, name="storage-errors", daemon=True)
        self._errors.start()
        self._send(json.dumps({"path": str(sweep_dir.path), "url": url}).encode() + b"\n")

    @property
    def is_gone(self) -> bool:
        """Whether it has ended, and all that it said was heard."""
        return not self._thread.is_alive()

    @property
    def has_died(self) -> bool:
        """Whether it has ended without a reason that it said."""
        return self.is_gone and not self.standing.off and not self.standing.is_done

    def end_of(self) -> str:
        """Return how it ended: its exit code, or signal, and the last line of its standard error."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout=2)
        self._errors.join(timeout=2)
        code = self._popen.returncode
        how = "it closed its output" if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"
        words = one_line(self._last_words.decode(errors="replace"), 300)
        return f"{how}: {words}" if words else how

    def end(self) -> None:
        """Tell it that nothing changes any more."""
        self._send(b"end\n")

    def close(self) -> None:
        """Hang up: it ends itself; insist after a moment."""
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError):
            self._popen.stdin.close()
        try:
            self._popen.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._thread.join()
        self._errors.join()
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        self._popen.stdout.close()
        self._popen.stderr.close()

    def _send(self, line: bytes) -> None:
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError):
            self._popen.stdin.write(line)
            self._popen.stdin.flush()

    def _hear(self) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            with contextlib.suppress(ValueError):  # half a line of a process that was killed
                self.standing = _after(self.standing, json.loads(line))

    def _hear_errors(self) -> None:
        assert self._popen.stderr is not None
        while line := self._popen.stderr.readline(1 << 16):
            self._last_words = line.strip() or self._last_words


def _after(standing: Standing, news: dict[str, object]) -> Standing:
    """Return where the copy stands after a line of the process."""
    match news:
        case {"left": int(left), "bytes": int(size)}:
            return replace(standing, left=left, size=size)
        case {"off": str(off)}:
            return replace(standing, off=off)
        case {"unreadable": dict(unreadable)}:
            return replace(standing, unreadable=unreadable)
        case {"trouble": str(trouble)}:
            return replace(standing, trouble=trouble)
        case {"done": bool(is_done)}:
            return replace(standing, trouble=None, is_done=is_done)
        case _:
            return standing
