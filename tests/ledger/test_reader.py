import subprocess
import sys
import textwrap

import pytest

from orchestrator.errors import LedgerError
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import TrialState
from orchestrator.ledger.store import Ledger

WRITER = """
    import os, pathlib, sys
    parent = os.getppid()
    from orchestrator.ledger.curves import Objective
    from orchestrator.ledger.records import SweepRecord, SweepState, TrialState
    from orchestrator.ledger.store import Ledger
    from orchestrator.trial.contract.events import Cause, Ended, Report, Reported
    ledger = Ledger(pathlib.Path(sys.argv[1]))
    record = dict(sweep_id="abcd1234", name="s", spec_text="", seed=1, created=1.0, cwd="/")
    ledger.sweep.create(SweepRecord(state=SweepState.RUNNING, **record))
    ledger.load((Objective(name="loss", sign=1.0, last=False),))
    print("ready", flush=True)
    while os.getppid() == parent:  # a test that is killed leaves no writer behind
        with ledger.transaction("both"):
            number = ledger.add_trial({"n": len(ledger.trials())}).number
            ledger.begin_attempt(number)
        reports = tuple(Report(index=i, time=0.0, step=i, metrics={"loss": 1.0 / (number + 1)}) for i in range(3))
        end = Ended(trial=number, attempt=0, time=0.0, cause=Cause.FINISHED)
        ledger.record([Reported(trial=number, attempt=0, reports=reports), end], {number: (TrialState.FINISHED, None)})
"""


def test_a_reader_sees_whole_states_while_the_controller_writes(tmp_path):
    """Trials only grow, a finished one has all its reports, and nobody waits for anybody."""
    path = tmp_path / "ledger.sqlite"
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout.readline() == "ready\n"
            watch_grow(path)
            assert writer.poll() is None
        finally:
            writer.kill()


def watch_grow(path):
    seen = 0
    while seen < 100:
        with LedgerReader(path) as reader:
            trials = reader.trials()
            finished = [t for t in trials if t.state is TrialState.FINISHED]
            assert len(trials) >= seen
            assert all(t.n_reports == 3 for t in finished)
            assert all(len(reader.values(t.number)) == 3 for t in finished[-5:])
            assert not finished or reader.best(1)[0].number >= finished[-1].number
            seen = len(trials)


def test_a_ledger_without_a_sweep_says_so(tmp_path):
    """A directory that was not completely created."""
    Ledger(tmp_path / "ledger.sqlite").close()
    with LedgerReader(tmp_path / "ledger.sqlite") as reader, pytest.raises(LedgerError, match="holds no sweep"):
        reader.sweep()
