"""The process beside a controller that keeps the copy of its sweep, so that neither controller nor trials wait for a store.

Its standard input says what to copy where, a JSON line, and at the end ``end``; where it closes without that, the controller
is dead, and the process ends at once. Its standard output says how it goes, a JSON line each.
"""

import contextlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from orchestrator.errors import StorageError, SweepError
from orchestrator.layout import SweepDir
from orchestrator.storage.mirror import Mirror
from orchestrator.storage.ownership import BEAT_S, TakenError
from orchestrator.storage.store import Store
from orchestrator.trial.contract.bounds import one_line

EVERY_S = 5.0
"""How often the directory is looked at."""

SHARE = 0.2
"""The largest share of a CPU that it takes, as long as trials run."""

BACK_OFF_S = (2.0, 5.0, 15.0, 60.0)
"""How long to wait after a failure, and after further ones."""

TELL_S = 0.2


def main() -> None:
    """Keep the copy until the end that standard input says."""
    order = json.loads(sys.stdin.buffer.readline())
    ending = threading.Event()
    threading.Thread(target=_listen, args=(ending,), daemon=True).start()
    os.nice(10)
    pid = os.getppid()
    sweep_dir, url = SweepDir(Path(order["path"])), order["url"]
    mirror: Mirror | None = None
    failures = 0
    teller, said_unreadable = _Teller(), dict[str, str]()
    while True:
        is_last, began_s = ending.is_set(), time.process_time()
        try:
            if mirror is None:
                mirror = Mirror(sweep_dir, Store(url).below(sweep_dir.path.name), pid=pid, tell=teller.left)
                threading.Thread(target=_beat, args=(mirror,), daemon=True).start()
            mirror.send(is_last=is_last)
            if mirror.unreadable != said_unreadable:
                said_unreadable = dict(mirror.unreadable)
                _say(unreadable=said_unreadable)
        except TakenError as error:
            _say(off=str(error))
            return
        except (SweepError, OSError) as error:
            _say(trouble=one_line(str(error), 300))
            pause_s = BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)]
            failures += 1
        else:
            failures = 0
            _say(trouble=None, done=is_last)
            if is_last:
                return
            pause_s = max(EVERY_S, (time.process_time() - began_s) / SHARE)
        if is_last:
            time.sleep(BACK_OFF_S[0])
        else:
            ending.wait(pause_s)


def _beat(mirror: Mirror) -> None:
    """Let the copy be held while a large file is sent, and between passes."""
    while True:
        time.sleep(BEAT_S)
        with contextlib.suppress(StorageError):
            mirror.beat()


def _listen(ending: threading.Event) -> None:
    if sys.stdin.buffer.readline() != b"end\n":
        os._exit(0)
    ending.set()
    sys.stdin.buffer.read()  # who hung up does not wait any more
    os._exit(0)


class _Teller:
    """Says how much is left, a few times a second."""

    def __init__(self) -> None:
        self._told_s = 0.0

    def left(self, n: int, size: int) -> None:
        if n == 0 or time.monotonic() - self._told_s > TELL_S:
            self._told_s = time.monotonic()
            _say(left=n, bytes=size)


def _say(**news: Any) -> None:
    try:
        sys.stdout.write(json.dumps(news) + "\n")
        sys.stdout.flush()
    except OSError:
        os._exit(0)


if __name__ == "__main__":
    main()
    os._exit(0)  # pyarrow would wait for a store that hangs
