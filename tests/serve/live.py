"""What tests of live pages share: a server in this process, and a ledger whose trials run as a test says."""

import threading
import time
from contextlib import contextmanager

from orchestrator.ledger.curves import objectives_of
from orchestrator.ledger.records import TrialState
from orchestrator.ledger.store import Ledger
from orchestrator.serve.access import Access, digest_of
from orchestrator.serve.server import Server
from orchestrator.spec import load_recorded
from orchestrator.trial.contract.events import Cause, Ended, Report, Reported, Started

TOKEN = "correct-horse-battery"
CONFIG = {"lr": 0.002, "batch_size": 64, "dropout": 0.1, "model": {"width": 16, "act": "gelu"}, "epochs": 10}


@contextmanager
def serving(runs, *, is_open=False, port=0):
    server = Server(("127.0.0.1", port), runs, Access(digest_of(TOKEN), is_open))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Sweep:
    """A ledger whose trials run as a test says."""

    def __init__(self, sweep_dir):
        self.ledger = Ledger(sweep_dir.ledger_path)
        self.ledger.load(objectives_of(load_recorded(self.ledger.sweep.record.spec_text)))
        self.rows = {}
        self.sweep_dir = sweep_dir

    def write(self, number):
        """Make the trial's directory."""
        self.sweep_dir.trial(number).path.mkdir()

    def begin(self, config):
        number = self.ledger.add_trial(config, run_id="r").number
        self.ledger.begin_attempt(number)
        started = Started(trial=number, attempt=0, time=time.time(), pid=1, host="box", gpu_ids=("0",))
        self.ledger.record([started], {})
        return number

    def report(self, number, *values, attempt=0):
        first = self.rows.get(number, 0)
        self.rows[number] = first + len(values)
        reports = tuple(
            Report(index=first + k, time=time.time(), step=first + k + 1, metrics={"valid/accuracy": value})
            for k, value in enumerate(values)
        )
        self.ledger.record([Reported(trial=number, attempt=attempt, reports=reports)], {})

    def end(self, number, cause=Cause.FINISHED, state=TrialState.FINISHED, error=None):
        ended = Ended(trial=number, attempt=0, time=time.time(), cause=cause, error=error)
        self.ledger.record([ended], {number: (state, None)})
