import itertools
import json
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
from wandb.proto import wandb_server_pb2

from orchestrator.trial.capture import core_line
from orchestrator.trial.capture.core_line import CoreLine, line_to
from orchestrator.trial.contract.events import Cause
from orchestrator.trial.formats.wandb_log import WandbLog
from tests.trial.conftest import a_wandb_run, finished_run

BOTH_WAYS = """
import json, math, os, random, sys
import wandb
from orchestrator.trial.capture.core_line import CoreLine
settings = wandb.Settings(silent=True, console="off", x_disable_stats=True, x_disable_meta=True, disable_git=True)
runs = [wandb.init(id=name, reinit="create_new", settings=settings) for name in ("by-client", "by-line")]
client, other = runs
line = CoreLine(other)
rng, step = random.Random(7), 0
for i in range(400):
    row = {name: rng.choice([i, rng.random(), -0.0, math.nan, math.inf, -math.inf, 1e-320, 2**70])
           for name in rng.sample(["a", "b.c", "d/e", "\\u00e9"], rng.randint(0, 3))}
    given = rng.choice([None, None, step, step + 1, step + rng.randint(0, 9), max(0, step - 2)])
    commit = rng.choice([None, None, None, True, False])
    client.log(row, step=given, commit=commit)
    line.log(row, given, commit=commit)
    assert client._local_step == other._local_step
    step = client._local_step
line.close()
for run in runs:
    run.log({"last": 1})
    run.finish()
"""


def environment(directory):
    own = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "SWEEP_"))}
    return own | {"WANDB_MODE": "offline", "WANDB_DIR": str(directory), "WANDB_ERROR_REPORTING": "false"}


def rows(directory, run_id):
    (path,) = directory.glob(f"wandb/offline-run-*/run-{run_id}.wandb")
    found = []
    for record in WandbLog(path).read():
        if record.WhichOneof("record_type") == "history":
            items = {(*item.nested_key, item.key): item.value_json for item in record.history.item}
            found.append({name: value for name, value in items.items() if name[0] not in {"_timestamp", "_runtime"}})
    return found


def test_rows_of_a_line_are_those_of_the_client(tmp_path):
    """Steps forward, back and repeated, commit, numbers that JSON has no word for: the record has the same, in the same order."""
    subprocess.run([sys.executable, "-c", BOTH_WAYS], env=environment(tmp_path), cwd=tmp_path, check=True, timeout=120)
    by_client, by_line = rows(tmp_path, "by-client"), rows(tmp_path, "by-line")
    assert len(by_client) > 100
    assert by_line == by_client


GIVES_WAY = """
import orchestrator, os, wandb
for i in range(300):
    orchestrator.report(a=i)
wandb.run.log({"b": 1})
orchestrator.report(a=300)
child = os.fork()
if not child:
    orchestrator.report(a=301)
    os._exit(0)
os.waitpid(child, 0)
wandb.run.summary["best"] = 7
"""


def test_the_program_may_log_to_the_run_too(shared):
    """Rows of ours come before what the program logs after them, and its child's after both."""
    trial = shared.run(shared.script(GIVES_WAY), wandb=True)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert "warning" not in trial.log
    run = finished_run(trial)
    assert [row.get("a", "b") for row in run.rows] == [*range(300), "b", 300, 301]
    assert run.summary["best"] == 7


WITHOUT_A_CORE = """
import orchestrator
from orchestrator.trial.capture import process
orchestrator.report(a=1.0)
process.current()._run_mirror._line._socket.close()
for i in range(3):
    orchestrator.report(a=float(i))
"""


def test_a_line_that_breaks_is_done_without(shared):
    """What it can no longer carry goes by the client."""
    trial = shared.run(shared.script(WITHOUT_A_CORE), wandb=True)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert "warning" not in trial.log
    assert sorted(row["a"] for row in finished_run(trial).rows) == [0, 1, 1, 2]


CUT = """
import orchestrator, os, signal, socket, struct
from orchestrator.trial.capture import process

def interrupt(*_):
    raise KeyboardInterrupt

orchestrator.report(a=-1)
line = process.current()._run_mirror._line
core, *_ = struct.unpack("3i", line._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
signal.signal(signal.SIGALRM, interrupt)
os.kill(core, signal.SIGSTOP)
signal.setitimer(signal.ITIMER_REAL, 0.5)
try:
    while True:
        orchestrator.report({f"long/{i:060}": 0.5 for i in range(4000)})
except KeyboardInterrupt:
    pass
finally:
    signal.setitimer(signal.ITIMER_REAL, 0)
    os.kill(core, signal.SIGCONT)
for i in range(20):
    orchestrator.report(a=i)
"""


def test_a_row_that_is_cut_in_two_does_not_spoil_those_after_it(shared):
    """An interrupt of the program's own while the core does not read."""
    trial = shared.run(shared.script(CUT), wandb=True)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert [row["a"] for row in finished_run(trial).rows if "a" in row][-20:] == list(range(20))


OWN_CORE = """
import os, orchestrator
from orchestrator.trial.capture import process
if "WANDB_BASE_URL" not in os.environ:
    del os.environ["WANDB_SERVICE"]
for i in range(50):
    orchestrator.report(a=i)
print("line:", process.current()._run_mirror._line)
"""


AWAY = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "k" * 40, "WANDB_INIT_TIMEOUT": "1"}


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_a_core_of_the_programs_own_is_reached_by_its_client_alone(shared, mode):
    """The client ends it at exit, and waits for nobody else's rows; there is one, too, where a server does not answer."""
    number = 90 + (mode == "online")
    env = AWAY if mode == "online" else {}
    trial = shared.run(shared.script(OWN_CORE), trial=number, wandb=a_wandb_run(number, mode=mode), env=env)
    assert "line: None" in trial.log
    assert "warning" not in trial.log
    assert [row["a"] for row in finished_run(trial).rows] == list(range(50))


@pytest.fixture
def core(monkeypatch):
    """The other end of a line, which has answered that the line may begin."""
    ours, core = socket.socketpair()
    monkeypatch.setenv("WANDB_SERVICE", "")
    monkeypatch.setattr(core_line, "connected", lambda _: ours)
    answer = wandb_server_pb2.ServerResponse(request_id="attach").SerializeToString()
    core.sendall(core_line._HEAD.pack(b"W", len(answer)) + answer)
    with ours, core:
        yield core


def test_an_interrupt_between_two_steps_of_ours_labels_no_value_wrongly(core):
    """Wherever it cuts a row of other names short, later rows have their own."""
    line = CoreLine(SimpleNamespace(_interface=SimpleNamespace(_stream_id="x"), _local_step=0))
    for n in itertools.count(1):
        line.log({"a": 1.0})
        if not is_cut_short(n, lambda: line.log({"b": 2.0})):
            break
        for name in "ab":
            line.log({name: ord(name)})
        assert sent(core)[-2:] == [("a", ord("a")), ("b", ord("b"))]
    assert n > 20


def is_cut_short(n, call):
    """Interrupt a call after n of its instructions, those of sending aside; tell whether it had as many."""
    left, before = n, sys.gettrace()

    def trace(frame, event, _):
        nonlocal left
        if frame.f_code.co_name == "_send" or frame.f_code.co_filename != core_line.__file__:
            return None
        frame.f_trace_opcodes = True
        left -= event == "opcode"
        if not left:
            raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def sent(core):
    """The first name and value of each row since the last call."""
    data, found = core.recv(1 << 20), []
    while data:
        _, n_bytes = core_line._HEAD.unpack_from(data)
        body, data = data[core_line._HEAD.size :][:n_bytes], data[core_line._HEAD.size + n_bytes :]
        history = wandb_server_pb2.ServerRequest.FromString(body).record_publish.request.partial_history
        found += [(item.key, json.loads(item.value_json)) for item in history.item[:1]]
    return found


def test_a_run_without_a_core_has_no_line():
    """One that is switched off, and whatever else is no run as we know it."""
    assert line_to(object()) is None
