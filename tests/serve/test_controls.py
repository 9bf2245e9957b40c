import errno
import os

import pytest

from orchestrator import confined
from orchestrator.errors import SweepError
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.requests import Action, Instruction
from orchestrator.reporting.labels import LONGEST_NOTE, Labels, read_labels
from orchestrator.serve.controls import obey, read
from tests.reporting.planted import plant


def test_what_pages_ask_is_what_terminals_ask():
    """Of sweeps, of trials, and limits."""
    assert read({"action": "pause"}) == Instruction(action=Action.PAUSE)
    assert read({"action": "retry", "trial": 3}) == Instruction(action=Action.RETRY, trial=3)
    wanted = Instruction(action=Action.SET, changes={"run_cap": "100", "timeout": "2h"})
    assert read({"action": "set", "changes": {"run_cap": " 100 ", "timeout": "2h"}}) == wanted


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["stop"], "must be an object"),
        ({}, "None cannot be asked of a sweep; allowed: cancel, pause, stop, unpause"),
        ({"action": []}, "cannot be asked of a sweep"),
        ({"action": {}, "trial": 1}, "cannot be asked of a trial"),
        ({"action": "retry"}, "'retry' cannot be asked of a sweep"),
        ({"action": "pause", "trial": 1}, "'pause' cannot be asked of a trial"),
        ({"action": "stop", "trial": "1"}, "'1' is no trial's number"),
        ({"action": "stop", "trial": True}, "True is no trial's number"),
        ({"action": "stop", "trial": -1}, "-1 is no trial's number"),
        ({"action": "stop", "trial": 2**63}, "9223372036854775808 is no trial's number"),
        ({"action": "set"}, "nothing to set"),
        ({"action": "set", "changes": {"program": "rm"}}, "'program' cannot be set"),
        ({"action": "set", "changes": {"run_cap": 5}}, "run_cap: 5 is no limit"),
        ({"action": "set", "changes": {"run_cap": "9" * 99}}, "is no limit"),
    ],
)
def test_everything_else_is_refused(asked, said):
    with pytest.raises(SweepError, match=said):
        read(asked)


def test_what_is_said_of_a_sweep_and_of_a_trial_is_written(tmp_path):
    """In place of what was said before; neither of a trial that there is not, nor more than a note may have."""
    sweep_dir = plant(tmp_path, n=5)
    assert obey(sweep_dir, {"action": "say", "trial": 2, "words": "#good: <b>keep</b>\x1b[31m"}).startswith(
        "trial 2: #good"
    )
    obey(sweep_dir, {"action": "say", "words": "a try"})
    found = read_labels(sweep_dir)
    assert found.sweep.note == "a try"
    assert found.of(2).tags == ("good",)
    for trial, words, said in (
        (99, "x", "has no trial 99"),
        (-1, "x", "no trial's number"),
        (2, None, "is no text"),
        (2, "#a/b", "is no tag"),
        (2, "x" * (LONGEST_NOTE + 1), "at most 2000 characters"),
        (2, "no \ud800", r"'\\ud800' is no character"),
    ):
        with pytest.raises(SweepError, match=said):
            obey(sweep_dir, {"action": "say", "trial": trial, "words": words})
    assert read_labels(sweep_dir) == found
    assert "nothing is said" in obey(sweep_dir, {"action": "say", "trial": 2, "words": " "})
    assert read_labels(sweep_dir).of(2) == Labels()


def test_what_cannot_be_written_is_said(tmp_path, monkeypatch):
    """With its reason, as on a disk that is full or read only."""
    sweep_dir = plant(tmp_path, n=1)

    def full(*_args, **_how):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(confined, "replace", full)
    with pytest.raises(SweepError, match=r"cannot be written into .*: No space left on device"):
        obey(sweep_dir, {"action": "say", "words": "kept"})


def test_it_is_done_where_no_controller_runs(tmp_path):
    """Into the ledger, for whoever resumes; what the ledger does not allow is refused as in a terminal."""
    sweep_dir = plant(tmp_path, n=5)
    assert "once" not in obey(sweep_dir, {"action": "retry", "trial": 2})
    with LedgerReader(sweep_dir.ledger_path) as reader:
        assert reader.trial(2).state == "pending"
    with pytest.raises(SweepError, match="it is over"):
        obey(sweep_dir, {"action": "stop", "trial": 0})
    with pytest.raises(SweepError, match="no trial 99"):
        obey(sweep_dir, {"action": "cancel", "trial": 99})
    obey(sweep_dir, {"action": "set", "changes": {"run_cap": "70"}})
    with LedgerReader(sweep_dir.ledger_path) as reader:
        assert "run_cap: 70" in reader.sweep().spec_text
