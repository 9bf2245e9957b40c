"""Stopping, crashes and what is left behind: real processes, killed for real."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from orchestrator.layout import TrialDir
from orchestrator.trial.contract.end_record import left_behind
from orchestrator.trial.contract.events import Cause, Ended, Started
from orchestrator.trial.contract.launch import ProgramKind
from orchestrator.trial.processes import family
from orchestrator.trial.runner import warm_servers
from orchestrator.trial.runner.runner import SHUTDOWN_S, Runner
from tests.trial.conftest import WITHOUT_TORCH, finished_run, scalars, wandb_runs

PRELOAD = ("torch", "torch.utils.tensorboard", "wandb")

HANGING = "print('up')\nimport time\ntime.sleep(1000)\n"

IN_ORDER = """
import atexit, wandb
from torch.utils.tensorboard import SummaryWriter
run = wandb.init()
writer = SummaryWriter("tb")
atexit.register(print, "atexit")
try:
    for step in range(10**9):
        run.log({"a": step}, step=step)
        writer.add_scalar("b", step, step)
        if step == 5:
            print("up")
        import time; time.sleep(0.01)
except BaseException as error:
    print(f"caught {type(error).__name__} {error.code}")
    raise
finally:
    print("finally")
"""


def light(program):
    """The same for what starts cold: torch alone takes longer than all the rest."""
    return f"{WITHOUT_TORCH}\n{program.replace('torch.utils.tensorboard', 'tensorboardX')}"


def test_a_stopped_program_ends_in_order(shared):
    """SIGTERM becomes SystemExit: finally, atexit, W&B's finish and TensorBoard's flush happen; nothing reported is lost."""
    trial = shared.start(shared.script(IN_ORDER), wandb=True)
    trial.printed("up")
    trial.stop()
    ended = trial.ended()
    assert (ended.cause, ended.exit_code, ended.error) == (Cause.STOPPED, 143, None)
    said = re.findall("caught SystemExit 143|finally|atexit", trial.log)  # wandb's own lines may come in between
    assert said == ["caught SystemExit 143", "finally", "atexit"]
    logged = finished_run(trial)
    assert logged.exit_code == 143
    n = len(trial.series("a"))
    assert n > 5
    assert [v for _, v in logged.series("a")] == trial.series("a") == [float(i) for i in range(n)]
    written = [v for _, v in scalars(trial.dir / "tb")["b"]]
    assert written == trial.series("b")


AMID = """
import os, signal, sys
import wandb
from torch.utils.tensorboard import SummaryWriter

class Row(dict):
    def copy(self):  # wandb copies what it logs
        os.kill(os.getpid(), signal.SIGTERM)
        return dict(self)

if sys.argv[1] == "wandb":
    run = wandb.init()
    run.log({"a": 0.0})
    run.log(Row(a=1.0))
else:
    writer = SummaryWriter("tb")
    writer.add_scalar("a", 0.0, 0)
    queue = writer.file_writer.event_writer._async_writer
    write = queue.write
    def write_and_end(data):
        write(data)
        os.kill(os.getpid(), signal.SIGTERM)
    queue.write = write_and_end
    writer.add_scalar("a", 1.0, 1)
print("not reached")
"""


@pytest.mark.parametrize("api", ["wandb", "tensorboard"])
def test_a_row_that_is_being_logged_is_whole_before_the_program_ends(shared, api):
    """SIGTERM in the middle of a call that logs: what W&B and TensorBoard have, the reports have too."""
    trial = shared.start(shared.script(AMID), api, wandb=True)
    assert trial.ended().exit_code == 143
    assert "not reached" not in trial.log
    (logged,) = wandb_runs(trial)
    assert trial.series("a") == [v for _, v in logged.series("a")] == [0.0, 1.0]
    assert [v for _, v in scalars(trial.dir / ("tb" if api == "tensorboard" else "."))["a"]] == [0.0, 1.0]


IN_WANDB = """
import asyncio, os, signal, sys, threading, wandb
run = wandb.init()
asyncer = wandb.setup().asyncer

class Taken(threading.Condition):
    def __enter__(self):
        super().__enter__()
        if not self.is_cut:
            self.is_cut = True
            os.kill(os.getpid(), signal.SIGTERM)
    is_cut = False

asyncer._ready_event._cond = Taken(threading.Lock())
if sys.argv[1] == "short":
    run.summary["a"] = 1
else:
    asyncer.run(lambda: asyncio.sleep(1000))
print("not reached")
"""


@pytest.mark.parametrize("call", ["short", "endless"])
def test_a_stop_amid_a_call_to_wandbs_thread_ends_the_program(shared, call):
    """Neither a lock that wandb has just taken nor a call that never ends keeps it from ending in order."""
    trial = shared.run(shared.script(IN_WANDB), call, wandb=True, timeout_s=30.0)
    assert (trial.ended().exit_code, trial.ended().signal) == (143, None)
    assert finished_run(trial).exit_code == 143
    assert "not reached" not in trial.log


OWN_HANDLER = """
import signal, sys, time
def save(number, frame):
    print("saved a checkpoint")
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("up")
time.sleep(1000)
"""


@pytest.mark.parametrize("as_command", [False, True])
def test_a_scripts_own_handler_wins(shared, as_command):
    """What it does on SIGTERM itself is what happens; but what exits with 0 because it was asked to end has not finished."""
    script = shared.script(OWN_HANDLER)
    how = {"target": [sys.executable, script], "kind": ProgramKind.COMMAND} if as_command else {"target": script}
    trial = shared.start(**how)
    trial.printed("up")
    trial.stop()
    assert (trial.ended().cause, trial.ended().exit_code) == (Cause.STOPPED, 0)
    assert trial.log == "up\nsaved a checkpoint\n"


def test_a_success_of_a_handler_is_none_when_time_runs_out(shared):
    """The work was not done within the timeout, whatever the exit code."""
    trial = shared.run(shared.script(OWN_HANDLER), timeout_s=0.5)
    assert (trial.ended().cause, trial.ended().exit_code) == (Cause.TIMED_OUT, 0)


LATE = """
import atexit, pathlib, time
@atexit.register
def finish():
    print("ending")
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
"""


def test_a_program_that_had_come_to_its_end_when_it_was_asked_has_finished(shared):
    """SIGTERM while it only does what it does at exit: its work was done."""
    trial = shared.start(shared.script(LATE))
    trial.printed("ending")
    trial.stop()
    (shared.dir / "go").touch()
    assert (trial.ended().cause, trial.ended().exit_code) == (Cause.FINISHED, 0)


STUBBORN = """
import multiprocessing, os, signal, subprocess, sys, time
import torch
from torch.utils.data import DataLoader
signal.signal(signal.SIGTERM, signal.SIG_IGN)
loader = iter(DataLoader(range(10**9), num_workers=2, persistent_workers=True))
next(loader)
group = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], process_group=0)
alone = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("daemon.pid", "w").write(str(os.getpid()))
        time.sleep(1000)
    os._exit(0)
os.wait()
while not os.path.exists("daemon.pid") or not open("daemon.pid").read():
    time.sleep(0.01)
print("up", group.pid, alone.pid, open("daemon.pid").read())
time.sleep(1000)
"""


def test_after_the_grace_period_all_of_a_trial_is_killed(shared, gone):
    """A deaf program with DataLoader workers, a process group, a session and a daemon of its own: nothing is left."""
    trial = shared.start(shared.script(STUBBORN), grace_s=0.5)
    pids = [int(word) for word in trial.printed("up").split()[1:]]
    members = family(trial.started().pid)
    assert len(members) >= 5  # itself, two workers, two children
    trial.stop()
    ended = trial.ended()
    assert (ended.cause, ended.signal) == (Cause.STOPPED, signal.SIGKILL)
    assert all(gone(pid) for pid in {*members, *pids})


def test_what_a_finished_program_left_running_is_killed(shared, gone):
    """A child and a daemon that outlive their program do not outlive its trial; a neighbour's are left alone."""
    leave = (
        "import os, subprocess, sys, time\n"
        "a = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
        "b = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'], start_new_session=True)\n"
        "print('pids', a.pid, b.pid)\n"
    )
    neighbour = shared.start(shared.script(leave + "time.sleep(1000)\n", "neighbour.py"))
    theirs = [int(word) for word in neighbour.printed("pids").split()[1:]]
    trial = shared.run(shared.script(leave))
    assert trial.ended().cause is Cause.FINISHED
    assert all(gone(int(word)) for word in trial.log.split()[1:])
    assert all(psutil.pid_exists(pid) for pid in theirs)
    neighbour.stop(kill=True)
    neighbour.ended()
    assert all(gone(pid) for pid in theirs)


@pytest.mark.parametrize("program", [HANGING, "import os, signal\nsignal.signal(15, signal.SIG_DFL)\n" + HANGING])
def test_a_program_that_a_shutdown_ends_first_waits_for_being_told(shared, program):
    """Whoever ends all processes of a machine by SIGTERM has this one's stop as well; alone, it is the program's own end."""
    told, alone = (shared.start(shared.script(program)) for _ in range(2))
    for trial in (told, alone):
        trial.printed("up")
        os.kill(trial.started().pid, signal.SIGTERM)
    shared.until(lambda: not any(_runs(trial.started().pid) for trial in (told, alone)))
    gone_s = time.monotonic()
    shared.until(lambda: time.monotonic() - gone_s > SHUTDOWN_S / 4)
    told.stop()
    assert told.ended().cause is Cause.STOPPED
    assert alone.ended().cause in {Cause.FAILED, Cause.KILLED}
    assert alone.ended().time - told.ended().time > SHUTDOWN_S / 2


def test_a_server_that_a_shutdown_ends_first_waits_as_well(bench):
    """Its trials have ended with it, by their own records in order."""
    trial = bench.start(bench.script(HANGING))
    trial.printed("up")
    server = psutil.Process(trial.started().pid).parent()
    server.terminate()
    os.kill(trial.started().pid, signal.SIGTERM)
    bench.until(lambda: not _runs(server.pid) and not _runs(trial.started().pid))
    gone_s = time.monotonic()
    bench.until(lambda: time.monotonic() - gone_s > SHUTDOWN_S / 4)
    trial.stop()
    assert trial.ended().cause is Cause.STOPPED


def _runs(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_kill_does_not_wait(shared):
    """`stop(kill=True)` ends a deaf program at once, whatever its grace period."""
    deaf = shared.start(shared.script("import signal\nsignal.signal(15, signal.SIG_IGN)\n" + HANGING), grace_s=1000.0)
    deaf.printed("up")
    deaf.stop(kill=True)
    assert (deaf.ended().cause, deaf.ended().signal) == (Cause.STOPPED, signal.SIGKILL)


def test_time_runs_out(shared):
    """A trial that runs longer than its timeout is asked to end, and says why."""
    trial = shared.run(shared.script(HANGING), timeout_s=0.5)
    assert (trial.ended().cause, trial.ended().error) == (Cause.TIMED_OUT, "ran longer than 0.5 s")
    assert trial.log == "up\n"


def test_more_time_and_less_than_it_has_had(shared):
    """A trial that runs gets another timeout, counted from its beginning; its end says which it was."""
    trial = shared.start(shared.script(HANGING), timeout_s=3600)
    trial.printed("up")
    shared.runner.allow(trial.launch.trial, 0, None)
    shared.runner.allow(trial.launch.trial, 0, 0.01)
    shared.runner.allow(99, 0, 1.0)
    assert (trial.ended().cause, trial.ended().error) == (Cause.TIMED_OUT, "ran longer than 0.01 s")


HELD = """
import os, pathlib, sys, time
if 'orchestrator.trial.fork_server.server' in sys.modules:
    if not pathlib.Path("free").exists():
        pathlib.Path("warming").write_text(str(os.getpid()))
    while not pathlib.Path("free").exists():
        time.sleep(0.01)
"""


def test_a_trial_that_is_stopped_before_it_starts_never_runs(bench):
    """Asked to end while its server still imports: it ends without a process."""
    bench.script(HELD, "lib/held.py")
    program = bench.script("import held\nprint('ran')\n")
    kind = {"env": {"PYTHONPATH": "lib"}, "preload": ("held",)}
    trial = bench.start(program, **kind)
    trial.until((bench.dir / "warming").exists)
    trial.stop()
    (bench.dir / "free").touch()
    assert (trial.ended().cause, trial.ended().exit_code) == (Cause.STOPPED, None)
    assert not any(isinstance(event, Started) for event in trial.events)
    assert not (trial.dir / "output.log").exists()
    assert bench.run(program, **kind).log == "ran\n"


def test_a_stop_during_an_import_of_the_program_ends_it(shared):
    """SIGTERM in the middle of a module's own code ends the trial like any other line."""
    shared.script("print('importing')\nimport time\ntime.sleep(1000)\n", "slow.py")
    trial = shared.start(shared.script("try:\n    import slow\nfinally:\n    print('left')\n"))
    trial.printed("importing")
    trial.stop()
    assert trial.ended().cause is Cause.STOPPED
    assert trial.log == "importing\nleft\n"


ENDS = {
    "import faulthandler; faulthandler._sigsegv()": (Cause.KILLED, "killed by SIGSEGV"),
    "import os; os._exit(9)": (Cause.FAILED, "exit code 9"),
    "import os; os.kill(os.getpid(), 9)": (Cause.KILLED, "killed by SIGKILL (out of memory on this machine?)"),
    "x = bytearray(10**15)": (Cause.FAILED, "MemoryError"),
    "raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB')": (
        Cause.OUT_OF_MEMORY, "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB",
    ),
    "import torch; raise torch.OutOfMemoryError('no room')": (Cause.OUT_OF_MEMORY, "OutOfMemoryError: no room"),
    "import sys; sys.modules['os'] = None; sys.stdout = None": (Cause.FINISHED, None),
}  # fmt: skip


def test_a_crash_harms_nobody_else(shared):
    """Segfault, os._exit, SIGKILL, MemoryError, out of GPU memory, vandalism: the same server's next child is unharmed."""
    healthy = "import torch, json, os\nprint(torch.ones(2).sum().item(), json.dumps([1]), os.getppid())\n"
    script = shared.script("import torch, json\nimport sys\nexec(sys.argv[1])\n")
    servers = set()
    for code, (cause, error) in ENDS.items():
        ended = shared.run(script, code).ended()
        assert (ended.cause, ended.error or None) == (cause, error), code
        after = shared.run(shared.script(healthy, "healthy.py"))
        assert after.log.startswith("2.0 [1] "), after.log
        servers.add(after.log.split()[-1])
    assert len(servers) == 1


def test_a_killed_server_takes_its_children_along_and_is_replaced(bench, gone):
    """SIGKILL on the warm server: its trials, their children and its W&B core die, end as lost, and the next launch works."""
    script = bench.script(
        "import subprocess, sys, time, wandb\nwandb.init()\n"
        "print('child', subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)']).pid)\ntime.sleep(1000)\n"
    )
    trial = bench.start(script, wandb=True)
    pid = int(trial.printed("child").rpartition("child")[2])
    server = psutil.Process(trial.started().pid).parent()
    tree = [process.pid for process in server.children(recursive=True)]
    server.kill()
    assert (trial.ended().cause, trial.ended().error) == (Cause.WORKER_LOST, "the process that runs trials died")
    assert all(gone(p) for p in (*tree, pid))
    again = bench.run(bench.script("print('again')"), trial=trial.launch.trial, attempt=1)
    assert again.ended().cause is Cause.FINISHED


CORELESS = """
import os, sys, time, psutil, wandb
run = wandb.init()
if "--fail" in sys.argv:
    raise ValueError("no")
[core] = [p for p in psutil.Process(os.getppid()).children() if "wandb-core" in p.name()]
core.kill()
while "--leave" not in sys.argv:
    run.log({"loss": 1.0})
try:
    while True:
        run.log({"loss": 1.0})
except Exception:
    os._exit(3)
"""


@pytest.mark.parametrize(("args", "has_record"), [((), True), (("--leave",), False)])
def test_a_trial_whose_wandb_core_died_is_lost_by_its_own_record_too(bench, args, has_record):
    """The very next row fails, while the kernel still buries the core: that is told by the record, and by the server."""
    script = bench.script(CORELESS)
    for number in range(0, 6, 2):
        trial = bench.run(script, *args, wandb=True, trial=number)
        assert trial.ended().cause is Cause.WORKER_LOST, trial.log
        assert "its W&B run died" in trial.ended().error
        left = left_behind(TrialDir(trial.dir), 0)
        assert left["core_lost"] if has_record else left is None
        failed = bench.run(script, "--fail", wandb=True, trial=number + 1)
        assert (failed.ended().cause, failed.ended().error) == (Cause.FAILED, "ValueError: no")
        assert left_behind(TrialDir(failed.dir), 0)["core_lost"] is False


RUNNING = """
import json, sys
sys.path.append({here!r})
from pathlib import Path
from tests.trial.conftest import Bench
bench = Bench(Path({directory!r}))
trials = [bench.start("hang.py", wandb=True) for _ in range(2)]
for trial in trials:
    trial.printed("up")
print(json.dumps([trial.started().pid for trial in trials]), flush=True)
bench.runner.poll(1000)
"""


def test_a_killed_runner_leaves_no_process(tmp_path, gone):
    """SIGKILL on the process that runs trials: servers, children, grandchildren and cores are gone by themselves."""
    (tmp_path / "hang.py").write_text(
        "import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
        "print('up')\ntime.sleep(1000)\n"
    )
    code = RUNNING.format(here=str(Path(__file__).parents[3]), directory=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as runner:
        pids = json.loads(runner.stdout.readline())
        tree = [process.pid for process in psutil.Process(runner.pid).children(recursive=True)]
        assert set(pids) <= set(tree)
        assert len(tree) >= 6  # a server, its core, two trials with a child each
        runner.kill()
    assert all(gone(pid) for pid in tree)


def test_closing_a_runner_leaves_no_process(bench, gone):
    """`close` ends trials, servers and cores, also of a server that is still importing."""
    others = set(psutil.Process().children(recursive=True))
    trial = bench.start(bench.script(HANGING), wandb=True)
    trial.printed("up")
    bench.script(HELD, "lib/held.py")
    bench.start(bench.script("import held\n", "late.py"), wandb=True, env={"PYTHONPATH": "lib"}, preload=("held",))
    tree = set(psutil.Process().children(recursive=True)) - others
    assert len(tree) >= 4  # two servers, a core, a trial
    bench.runner.close()
    assert all(gone(process.pid) for process in tree)


def test_an_attempt_starts_once(bench):
    """A second launch of the same attempt, by another runner too, is refused; its first one goes on."""
    trial = bench.start(bench.script(HANGING))
    trial.printed("up")
    other = type(bench)(bench.dir)
    try:
        second = other.start("train.py", trial=trial.launch.trial)
        assert second.ended().cause is Cause.NOT_STARTED
        assert "File exists" in second.ended().error
    finally:
        other.runner.close()
    assert psutil.pid_exists(trial.started().pid)


def test_a_directory_that_is_gone_ends_the_attempt(shared):
    """A working directory that does not exist is a trial that could not be started, with its name."""
    trial = shared.start("train.py", cwd=str(shared.dir / "gone"))
    assert trial.ended().cause is Cause.NOT_STARTED
    assert "gone" in trial.ended().error


def test_a_library_that_kills_the_server_costs_only_the_warm_start(bench):
    """A module that crashes the server when it is imported: the trial starts cold, and says why."""
    bench.script(
        "import os, sys\nif 'orchestrator.trial.fork_server.server' in sys.modules:\n    os.kill(os.getpid(), 11)\n",
        "lib/fragile.py",
    )
    cold = bench.run(bench.script("import fragile\nprint('fine')\n"), env={"PYTHONPATH": "lib"}, preload=("fragile",))
    assert cold.ended().cause is Cause.FINISHED
    assert cold.log == "fine\n"
    assert cold.started().cold_reason.startswith("the warm server was killed by SIGSEGV while it imported fragile")


def test_a_server_that_was_killed_while_it_was_warming_is_warmed_again(bench, monkeypatch):
    """SIGKILL from outside: trials start cold, with the reason, and warm again after a while."""
    monkeypatch.setattr(warm_servers, "WARM_AGAIN_S", 0.5)
    bench.script(HELD, "lib/held.py")
    program = bench.script("import held\nprint('fine')\n")
    kind = {"env": {"PYTHONPATH": "lib"}, "preload": ("held",)}
    kill_while_warming(bench, cold := bench.start(program, **kind))
    assert cold.ended().cause is Cause.FINISHED
    assert cold.started().cold_reason.startswith("the warm server was killed by SIGKILL while it imported held")
    (bench.dir / "free").touch()
    while bench.run(program, **kind).started().cold_reason is not None:
        pass


def test_a_server_that_keeps_being_killed_is_given_up(bench, monkeypatch):
    """As by the kernel, for the memory that its imports take: after some tries trials of its kind stay cold."""
    monkeypatch.setattr(warm_servers, "WARM_AGAIN_S", 0.0)
    bench.script(HELD, "lib/held.py")
    program = bench.script("import held\nprint('fine')\n")
    trial = bench.start(program, env={"PYTHONPATH": "lib"}, preload=("held",))
    for _ in range(1 + warm_servers.WARM_TRIES):
        kill_while_warming(bench, trial)
    assert trial.ended().cause is Cause.FINISHED
    assert "killed by SIGKILL" in trial.started().cold_reason


def kill_while_warming(bench, trial):
    """SIGKILL for the server that is at a trial's import."""
    path = bench.dir / "warming"
    trial.until(lambda: path.exists() and path.read_text())
    pid = int(path.read_text())
    path.unlink()
    os.kill(pid, signal.SIGKILL)


def test_reports_arrive_at_once(shared):
    """A report is heard of while its program goes on: within a second here, though it prints nothing."""
    trial = shared.start(shared.script("import orchestrator, time\norchestrator.report(a=1.0)\ntime.sleep(1000)\n"))
    trial.until(lambda: trial.reports)
    assert trial.series("a") == [1.0]
    trial.stop(kill=True)


def leftovers(server):
    """What a leak would add to: descriptors and threads of this process and the server, and the processes below."""
    me = psutil.Process()
    n_children = len(me.children()), len(server.children(recursive=True))
    return me.num_fds(), me.num_threads(), *n_children, server.num_fds(), server.num_threads()


MANY = """
import orchestrator, os, random, torch, wandb
print("server", os.getppid())
run = wandb.init()
run.log({"a": random.random(), "b": torch.rand(1).item()})
"""


def children_in_a_row(bench, n):
    script = bench.script(MANY)
    for _ in range(5):  # what is opened once is open now
        first = bench.run(script, wandb=True)
        assert first.ended().cause is Cause.FINISHED
    server = psutil.Process(int(first.log.partition("server ")[2].split()[0]))
    before, memory = leftovers(server), server.memory_info().rss
    took = []
    draws = set()
    for _ in range(n):
        trial = bench.run(script, wandb=True)
        assert trial.ended().cause is Cause.FINISHED, trial.log
        took.append(trial.ended().time - trial.started().time)
        draws.add((trial.series("a")[0], trial.series("b")[0]))
    assert all(now <= then for now, then in zip(leftovers(server), before, strict=True))
    assert server.memory_info().rss < memory + 20e6
    assert len(draws) == n
    return sorted(took)[n // 2]


def test_thirty_children_in_a_row_leave_nothing(shared):
    """No process, descriptor, thread or memory is left by 30 trials of one server, and no two draw the same numbers."""
    assert children_in_a_row(shared, 30) < 2.0


@pytest.mark.soak
def test_three_hundred_children_in_a_row_leave_nothing(shared):
    """The same for 300, each reaped within 0.1 s on an idle machine."""
    median_s = children_in_a_row(shared, 300)
    print(f"median start to reaped: {median_s:.3f} s")
    assert median_s < 1.0


BASH = """
set -e
echo "from bash $1"
python log.py
python -S -c 'print("no site")'
"""


def test_python_below_bash_is_captured(shared):
    """`bash run.sh` that starts Python: its metrics are reports, in TensorBoard and W&B, and its own sitecustomize runs."""
    shared.script(BASH, "run.sh")
    shared.script("print('own sitecustomize')\n", "site/sitecustomize.py")
    shared.script("import wandb\nrun = wandb.init()\nfor i in range(3):\n    run.log({'a': i / 2})\n", "log.py")
    trial = shared.run(
        ["bash", "run.sh", "x"],
        kind=ProgramKind.COMMAND,
        wandb=True,
        env={"PYTHONPATH": "site", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert (trial.ended().cause, trial.ended().error) == (Cause.FINISHED, None), trial.log
    assert trial.log.startswith("from bash x\nown sitecustomize\n")
    assert trial.log.endswith("no site\n")
    assert trial.started().cold_reason == "a test's command"
    assert trial.series("a") == [0.0, 0.5, 1.0]
    assert [v for _, v in scalars(trial.dir)["a"]] == [0.0, 0.5, 1.0]
    (logged,) = wandb_runs(trial)
    assert ([v for _, v in logged.series("a")], logged.exit_code) == ([0, 0.5, 1], 0)


SLOW_TO_END = """
import time
try:
    print("up")
    time.sleep(1000)
finally:
    time.sleep({naps})
    print("saved")
"""


def test_what_a_stopped_shell_started_has_the_grace_period(shared):
    """The shell is gone at once, the Python below it half a second later: it comes to its end, and only then the trial does."""
    shared.script(SLOW_TO_END.format(naps=0.5), "slow.py")
    trial = shared.start(
        ["bash", "-c", f"{sys.executable} slow.py; echo after"], kind=ProgramKind.COMMAND, grace_s=60.0
    )
    trial.printed("up\n")
    trial.stop()
    assert (trial.ended().cause, trial.ended().signal) == (Cause.STOPPED, signal.SIGTERM)
    assert trial.log == "up\nsaved\n"


def test_the_grace_period_of_what_a_stopped_shell_started_ends(shared, gone):
    """What goes on beyond it is killed, though the shell is gone."""
    shared.script(SLOW_TO_END.format(naps=1000), "slow.py")
    trial = shared.start(["bash", "-c", f"{sys.executable} slow.py; echo after"], kind=ProgramKind.COMMAND, grace_s=0.5)
    trial.printed("up\n")
    members = family(trial.started().pid)
    assert len(members) == 2
    trial.stop()
    assert trial.ended().cause is Cause.STOPPED
    assert trial.log == "up\n"
    assert all(gone(pid) for pid in members)


def test_python_below_bash_ends_in_order_too(shared):
    """SIGTERM reaches every process of a command; a Python among them ends by SystemExit, and its W&B run is finished."""
    shared.script(light(IN_ORDER), "log.py")
    trial = shared.start(["bash", "-c", f"{sys.executable} log.py; echo code $?"], kind=ProgramKind.COMMAND, wandb=True)
    trial.printed("up\n")
    trial.stop()
    assert trial.ended().cause is Cause.STOPPED
    assert "caught SystemExit 143\nfinally\natexit" in trial.log
    logged = finished_run(trial)
    assert trial.series("a") == [v for _, v in logged.series("a")]
    assert "sweep: warning" not in trial.log


LEFT_OPEN = """
import sys, wandb
from torch.utils.tensorboard import SummaryWriter
run = wandb.init()
run.log({"a": 1})
SummaryWriter("tb").add_scalar("b", 2, 1)
sys.exit(3)
"""


def test_python_below_bash_leaves_its_run_open(shared):
    """It is finished at exit, in order: the last row of another API is in it, then its exit code, and nothing is warned of."""
    shared.script(light(LEFT_OPEN), "log.py")
    trial = shared.run(["bash", "-c", f"{sys.executable} log.py; echo code $?"], kind=ProgramKind.COMMAND, wandb=True)
    assert trial.log.endswith("code 3\n")
    assert "sweep: warning" not in trial.log
    (logged,) = wandb_runs(trial)
    assert logged.exit_code == 3
    assert ([v for _, v in logged.series("a")], [v for _, v in logged.series("b")]) == ([1], [2])


DISTRIBUTED = """
import os, torch, torch.distributed as dist
from torch.utils.tensorboard import SummaryWriter
dist.init_process_group("gloo")
rank = dist.get_rank()
writer = SummaryWriter()
for step in range(3):
    value = torch.tensor(float(rank + step)); dist.all_reduce(value)
    writer.add_scalar("sum", value.item(), step)
dist.destroy_process_group()
"""


def test_of_a_distributed_program_rank_0_reports(shared):
    """Torchrun with two gloo processes: every metric once."""
    shared.script(DISTRIBUTED)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "train.py"]
    trial = shared.run(torchrun, kind=ProgramKind.COMMAND, wandb=True)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert trial.series("sum") == [1.0, 3.0, 5.0]
    (logged,) = wandb_runs(trial)
    assert [v for _, v in logged.series("sum")] == [1, 3, 5]


FOREIGN = """
import sys
sys.path[:0] = {path!r}
sys.modules["torch"] = None  # it would take seconds
import os, time, wandb
from tensorboardX import SummaryWriter
run = wandb.init()
writer = SummaryWriter(os.environ["SWEEP_TRIAL_DIR"] + "/tb")
for step in range(3):
    run.log({{"a": step / 2, "deep": {{"x": step}}, "image": wandb.Image(__import__("numpy").zeros((2, 2, 3), "uint8"))}})
    writer.add_scalar("b", step / 4, step)
writer.close()
run.finish()
"""


@pytest.mark.parametrize("flag", ["-I", "-S"])
def test_a_program_that_cannot_be_hooked_is_read_from_its_files(shared, flag):
    """Without the hook (`python -I`, `-S`, another language): its .wandb log and event files become reports, each once."""
    shared.script(FOREIGN.format(path=[p for p in sys.path if p]))
    trial = shared.run([sys.executable, flag, "train.py"], kind=ProgramKind.COMMAND, wandb=True)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert trial.series("a") == [0.0, 0.5, 1.0]
    assert trial.series("deep.x") == [0.0, 1.0, 2.0]
    assert trial.series("b") == [0.0, 0.25, 0.5]
    assert {name for report in trial.reports for name in report.metrics} == {"a", "deep.x", "b"}
    assert [report.index for report in trial.reports] == list(range(len(trial.reports)))
    assert sum(bool(line["m"]) for line in trial.lines) == len(trial.reports)


def test_a_command_that_is_not_there(shared):
    """An executable that does not exist is a trial that could not be started, named in one line."""
    trial = shared.run(["./nothing", "--lr=1"], kind=ProgramKind.COMMAND)
    assert (trial.ended().cause, trial.ended().error) == (Cause.NOT_STARTED, "./nothing: No such file or directory")


def test_what_somebody_else_knows_wakes_a_poll():
    """An end that the runner never had is told at once, and once."""
    runner, ended = Runner(), Ended(trial=0, attempt=0, time=0.0, cause=Cause.NOT_STARTED)
    begun_s = time.monotonic()
    telling = threading.Timer(0.1, runner.tell, [ended])
    telling.start()
    assert runner.poll(60.0) == [ended]
    assert time.monotonic() - begun_s < 30
    assert runner.poll(0.0) == []
    telling.join()
    runner.close()
