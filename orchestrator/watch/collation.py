"""Keeps what the user takes home current while a sweep runs, beside the loop and never in its way."""

import threading
import time
from collections.abc import Callable

from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir
from orchestrator.ledger.reader import LedgerReader
from orchestrator.reporting.experiment import Experiment
from orchestrator.reporting.files import write_files
from orchestrator.reporting.results import read_results
from orchestrator.spec import SweepSpec

EVERY_S = 2.0
"""The files are written at most this often."""

SHARE = 0.05
"""The largest share of the time that is spent on writing them: a sweep of 10,000 trials is collated less often."""


class Collation:
    """Watches a sweep as a view does: whatever happens makes the files out of date, and a thread writes them anew.

    The thread reads the ledger as any other reader; the controller's thread only sets a flag. At the end, `close` writes
    the last state of everything, the report included.

    Args:
        sweep_dir: The sweep's directory.
        spec: What it runs.
        experiment: What TensorBoard knows of it.
        say: Called, from the thread that calls `close`, with a sentence about what could not be written.
        finish: Called at the end, after the last collation: writes what is only worth writing once.
    """

    def __init__(
        self,
        sweep_dir: SweepDir,
        spec: SweepSpec,
        *,
        experiment: Experiment,
        say: Callable[[str], None],
        finish: Callable[[SweepDir], object] | None = None,
    ) -> None:
        self._sweep_dir = sweep_dir
        self._spec = spec
        self._experiment = experiment
        self._say = say
        self._finish = finish
        self._stale = threading.Event()
        self._closing = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._keep_current, name="collation", daemon=True)

    def event(self, _event: object) -> None:
        """Something happened: the files are out of date."""
        if self._thread.ident is None:
            self._thread.start()
        self._stale.set()

    def refresh(self, _progress: object) -> None:
        """Only events make a difference to the files."""

    def close(self) -> None:
        """Write everything once more, in its last state. Idempotent; never raises."""
        if self._closed:
            return
        self._closed = True
        self._closing.set()
        self._stale.set()
        if self._thread.ident is not None:
            self._thread.join()
        problem = self._collate() or self._write_last()
        if problem is not None:
            self._say(problem)

    def _keep_current(self) -> None:
        while True:
            self._stale.wait()
            if self._closing.is_set():
                return
            self._stale.clear()
            began_s = time.monotonic()
            self._collate()
            took_s = time.monotonic() - began_s
            self._closing.wait(max(EVERY_S, took_s / SHARE))

    def _collate(self) -> str | None:
        """Write the files; return why it failed, if it did: a full disk may be free again when the sweep ends."""
        try:
            with LedgerReader(self._sweep_dir.ledger_path, whole=False) as reader:
                results = read_results(self._sweep_dir, reader, self._spec)
            write_files(results)
            self._experiment.keep_current(results.trials)
        except Exception as error:  # noqa: BLE001 - a sweep does not fail over files that can be written again
            return f"the best configs could not be written: {_said(error)}"
        return None

    def _write_last(self) -> str | None:
        if self._finish is None:
            return None
        try:
            self._finish(self._sweep_dir)
        except Exception as error:  # noqa: BLE001 - a sweep that ended well does not fail over its report
            return f"report.html could not be written: {_said(error)}"
        return None


def _said(error: Exception) -> str:
    """The error as its reader needs it: what nobody foresaw is told by its type."""
    return str(error) if isinstance(error, SweepError | OSError) else f"{type(error).__name__}: {error}"
