import dataclasses
import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.layout import TrialDir
from orchestrator.trial.contract.end_record import give_up, leave_record, left_behind
from orchestrator.trial.contract.events import Cause
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind
from orchestrator.trial.runner.endings import Ending, ended_event, log_tail, no_metric
from tests.json_values import ANY_TEXT, JSON


@pytest.fixture
def a_launch(tmp_path):
    program = Program(kind=ProgramKind.SCRIPT, target="train.py")
    places = {"cwd": str(tmp_path), "trial_dir": str(tmp_path), "argv": (), "config": {}}
    return Launch(
        sweep_id="s", sweep_name="s", trial=0, attempt=0, program=program, metric="loss", timeout_s=60.0, **places
    )


@pytest.mark.parametrize(
    ("ending", "cause", "error"),
    [
        (Ending(code=0, names={"loss"}), Cause.FINISHED, None),
        (Ending(code=0, names={"los"}), Cause.NO_METRIC, "never reported 'loss', but 'los'; did you mean 'los'?"),
        (Ending(code=0), Cause.NO_METRIC, "never reported 'loss', nor any other metric"),
        (Ending(code=3), Cause.FAILED, "exit code 3"),
        (Ending(code=143, asked_s=1.0), Cause.STOPPED, None),
        (Ending(code=-9, asked_s=1.0), Cause.STOPPED, None),
        (Ending(code=0, asked_s=1.0, names={"loss"}), Cause.STOPPED, None),
        (Ending(code=0, asked_s=1.0, timed_out=True, names={"loss"}), Cause.TIMED_OUT, "ran longer than 60 s"),
        (Ending(code=-9, timed_out=True), Cause.TIMED_OUT, "ran longer than 60 s"),
        (Ending(code=-9), Cause.KILLED, "killed by SIGKILL (out of memory on this machine?)"),
        (Ending(code=-11), Cause.KILLED, "killed by SIGSEGV"),
        (Ending(code=-64), Cause.KILLED, "killed by SIGRTMAX"),
        (Ending(), Cause.WORKER_LOST, "the process that runs trials died"),
        (Ending(problem="train.py: Permission denied"), Cause.NOT_STARTED, "train.py: Permission denied"),
    ],
)
def test_every_end_has_a_cause(a_launch, ending, cause, error):
    """From what the worker saw alone."""
    event = ended_event(a_launch, ending)
    assert (event.cause, event.error) == (cause, error)
    assert (event.signal is None) == (ending.code is None or ending.code >= 0)


@pytest.mark.parametrize(("asked_s", "cause"), [(math.inf, 0), (9.0, 0), (7.0, 1), (-math.inf, 1)])
def test_a_success_is_one_that_was_there_before_it_was_asked_for_the_end(a_launch, tmp_path, asked_s, cause):
    """Exit code 0 at 8 s: finished if it was asked after that or never, stopped if it was asked before or nobody knows when."""
    assert leave_record(TrialDir(tmp_path), 0, {"exit_code": 0, "error": None, "ended_s": 8.0})
    event = ended_event(a_launch, Ending(code=0, asked_s=asked_s, names={"loss"}))
    assert event.cause is (Cause.FINISHED, Cause.STOPPED)[cause]


@pytest.mark.parametrize(("code", "cause"), [(0, Cause.FINISHED), (1, Cause.KILLED)])
def test_a_kill_after_the_programs_own_end_takes_no_success_back(a_launch, tmp_path, code, cause):
    """The record that it succeeded is there: it does not run again."""
    assert leave_record(TrialDir(tmp_path), 0, {"exit_code": code, "error": None, "ended_s": 8.0})
    assert ended_event(a_launch, Ending(code=-9, names={"loss"})).cause is cause


def test_the_programs_own_record_says_more(a_launch, tmp_path):
    """The exception's line, out of memory, and the exit code of one whose server died first."""
    record = {"exit_code": 1, "error": "OutOfMemoryError: no room", "started": True}
    assert leave_record(TrialDir(tmp_path), 0, record)
    event = ended_event(a_launch, Ending())
    assert (event.cause, event.error, event.exit_code) == (Cause.OUT_OF_MEMORY, "OutOfMemoryError: no room", 1)


def test_the_record_tells_of_a_dead_wandb_core_when_nobody_else_can(a_launch, tmp_path):
    """The core died, the program with it, and then the server that would have told."""
    record = {
        "exit_code": 1,
        "error": "ConnectionResetError: Connection lost",
        "core_lost": True,
    }
    assert leave_record(TrialDir(tmp_path), 0, record)
    event = ended_event(a_launch, Ending())
    told = "the process that keeps its W&B run died: ConnectionResetError: Connection lost"
    assert (event.cause, event.error) == (Cause.WORKER_LOST, told)


@pytest.mark.parametrize(
    ("log", "cause", "error"),
    [
        ("a\nValueError: bad lr\n", Cause.FAILED, "ValueError: bad lr"),
        ("torch.OutOfMemoryError: no room\nmore\n", Cause.OUT_OF_MEMORY, "torch.OutOfMemoryError: no room"),
        ("cannot open file\n", Cause.FAILED, "cannot open file"),
        ("usage: t.py\nt.py: error: bad --lr\nbye\n", Cause.FAILED, "t.py: error: bad --lr"),
    ],
)  # fmt: skip
def test_a_command_that_leaves_no_record_is_judged_by_its_log(a_launch, tmp_path, log, cause, error):
    """The last line that looks like an exception, else the last line."""
    (tmp_path / "output.log").write_text(log)
    event = ended_event(a_launch, Ending(code=2))
    assert (event.cause, event.error) == (cause, error)


@pytest.mark.parametrize(
    ("log", "error"),
    [
        ("usage: train.py [-h]\ntrain.py: error: unrecognized arguments: --hiddn=64\n",
         "train.py: error: unrecognized arguments: --hiddn=64"),
        ("Error: Invalid value for '--lr': 'x'\nsweep: a hint\n", "Error: Invalid value for '--lr': 'x'"),
        ("Traceback:\nKeyError: 'lr'\nchild failed\n", "KeyError: 'lr'"),
        ("epoch 3, error 0.5\n", "exit code 2"),
        ("", "exit code 2"),
    ],
)  # fmt: skip
def test_an_exit_code_alone_is_explained_by_the_log(a_launch, tmp_path, log, error):
    """A program that exits by itself says why in its last error line; a line that is none is not taken for one."""
    assert leave_record(TrialDir(tmp_path), 0, {"exit_code": 2, "error": "exit code 2"})
    (tmp_path / "output.log").write_text(log)
    assert ended_event(a_launch, Ending(code=2)).error == error


def test_the_tail_is_what_a_terminal_would_show(tmp_path):
    """Of a progress bar the last state, no empty lines, 20 lines at most, of a file of any size."""
    path = tmp_path / "output.log"
    assert log_tail(path) == ()
    path.write_bytes(b"x\n" * 100_000 + b" 10%\r 50%\r100%\n\n\xff end")
    tail = log_tail(path)
    assert len(tail) == 20
    assert tail[-2:] == ("100%", "\ufffd end")


def test_an_attempt_has_one_end(a_launch, tmp_path):
    """Given up first, its own record comes too late; and the other way round."""
    assert give_up(TrialDir(tmp_path), 0) is None
    assert not leave_record(TrialDir(tmp_path), 0, {"exit_code": 0})
    assert leave_record(TrialDir(tmp_path), 1, {"exit_code": 0})
    assert give_up(TrialDir(tmp_path), 1) == {"exit_code": 0}


def test_a_missing_module_is_told_with_the_python_that_lacks_it(a_launch, tmp_path):
    """Where that is another than the `sweep` command's: which one it was is the first question."""
    error = "ModuleNotFoundError: No module named 'torch'"
    TrialDir(tmp_path).end_path(0).write_text(json.dumps({"exit_code": 1, "error": error, "ended_s": 1.0}))
    told = [ended_event(dataclasses.replace(a_launch, python=p), Ending(code=1)).error for p in (None, "/p/bin/python")]
    assert told == [error, f"{error} in /p/bin/python"]


def test_near_misses_are_named():
    """One suggestion, and no more than eight names."""
    line = no_metric("val_loss", {f"m{i}" for i in range(20)} | {"val/loss"})
    assert line.endswith("did you mean 'val/loss'?")
    assert line.count("'m") <= 8


def test_what_we_measure_ourselves_is_no_metric_of_the_programs():
    """It logged nothing, as far as its author knows."""
    assert no_metric("loss", {"watch/gradient_norm"}) == "never reported 'loss', nor any other metric"
    assert no_metric("loss", {"watch/gradient_norm", "x"}) == "never reported 'loss', but 'x'"


RECORDS = st.dictionaries(
    st.sampled_from(["exit_code", "error", "ended_s", "core_lost", "started"]) | ANY_TEXT,
    st.integers(-2, 2) | JSON,
)


@given(
    st.binary(max_size=20) | (RECORDS | JSON).map(lambda value: json.dumps(value).encode()),
    st.sampled_from([0, 1, None]),
)
@example(b"[" * 200_000, None)
@example(b'{"exit_code": 1, "error": "\\udce9", "ended_s": "x", "core_lost": []}', None)
@example(b'{"exit_code": 0, "ended_s": "x"}', 0)
@example(b'{"exit_code": 0, "ended_s": ' + b"9" * 1000 + b"}", 0)
@example(b'{"exit_code": ' + b"9" * 1000 + b"}", None)
def test_whatever_a_record_says_an_attempt_has_an_end(tmp_path_factory, content, code):
    """It is a program's to write: the event that follows can be stored and shown."""
    directory = tmp_path_factory.getbasetemp()
    TrialDir(directory).end_path(0).write_bytes(content)
    launch = Launch(
        sweep_id="s", sweep_name="s", trial=0, attempt=0, trial_dir=str(directory), cwd="/", argv=(), config={},
        program=Program(kind=ProgramKind.SCRIPT, target="train.py"), metric="loss",
    )  # fmt: skip
    left = left_behind(TrialDir(directory), 0)
    assert left is None or type(left["exit_code"]) is int
    event = ended_event(launch, Ending(code=code, names={"loss"}, asked_s=5.0))
    assert json.dumps(dataclasses.asdict(event))
    assert event.error is None or event.error.encode()
    assert event.exit_code is None or event.exit_code < 2**31
