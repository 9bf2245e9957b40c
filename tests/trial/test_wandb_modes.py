"""What `orchestrator.wandb` makes of a trial's W&B run: offline, online against a server in every condition, off."""

import ast
import os
import signal

import psutil
import pytest

from orchestrator.trial.contract.events import Cause
from orchestrator.trial.formats.wandb_log import WandbLog
from tests.trial.conftest import WITHOUT_TORCH, a_wandb_run, wandb_runs
from tests.wandb_server import ENTITY, WandbServer

PRELOAD = ("wandb",)

CONFIG = {"lr": 0.25, "opt": {"wd": 0.5}}

SCRIPT = """
import os, time, wandb
began = time.monotonic()
run = wandb.init(project="own", id="own-id", dir="elsewhere", config={"lr": 1.0, "opt": {"wd": 0.0, "name": "sgd"}, "width": 8})
print("INIT", time.monotonic() - began)
run.config.update({"lr": 7.0}, allow_val_change=True)
print("CONFIG", dict(run.config))
for step in range(10):
    run.log({"loss": run.config["lr"] / (step + 1)})
if os.environ.get("WAIT"):
    open(os.environ["WAIT"] + ".up", "w").close()
    while not os.path.exists(os.environ["WAIT"]):
        time.sleep(0.02)
run.log({"loss": 0.0})
print("BEFORE FINISH", time.time(), flush=True)
run.finish()
print("AFTER FINISH", time.time(), flush=True)
"""

SPEAKS = """
import wandb
run = wandb.init()
run.log({"loss": 1.0})
wandb.termwarn("its warning")
wandb.termerror("its error")
print("its own words")
run.finish()
"""

LOSSES = [0.25 / (step + 1) for step in range(10)] + [0.0]

SHORT = {"WANDB_INIT_TIMEOUT": "2", "WANDB_FINISH_TIMEOUT": "2", "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1"}


@pytest.fixture(scope="module")
def server():
    with WandbServer() as server:
        yield server


@pytest.fixture
def healthy(server):
    server.fault, server.fault_at = None, ".*"
    yield server
    server.fault, server.fault_at = None, ".*"
    server.released.set()
    server.released.clear()


@pytest.fixture
def script(shared):
    return shared.script(SCRIPT)


def online(server, number, **changes):
    fields = {"mode": "online", "project": "proj", "run_id": f"k3x9w2ab-{number:04d}"}
    return {"wandb": a_wandb_run(number, **(fields | changes)), "env": server.environ | SHORT, "config": CONFIG}


def config_of(trial):
    (line,) = [line for line in trial.log.splitlines() if line.startswith("CONFIG")]
    return ast.literal_eval(line.removeprefix("CONFIG "))


def logged(trial):
    """(Loss by row, exit codes) of the trial's logs, in order."""
    records = [r for log in sorted(trial.dir.glob("wandb/*run-*/run-*.wandb")) for r in WandbLog(log).read()]
    kinds = [record.WhichOneof("record_type") for record in records]
    rows = [r.history for r, kind in zip(records, kinds, strict=True) if kind == "history"]
    losses = [float(i.value_json) for row in rows for i in row.item if list(i.nested_key) == ["loss"]]
    return losses, [r.exit.exit_code for r, kind in zip(records, kinds, strict=True) if kind == "exit"]


def is_marked(trial):
    return any(trial.dir.glob("wandb/run-*/run-*.wandb.synced"))


def test_online_runs_are_the_sweeps_on_the_server(shared, script, healthy):
    """Config, rows, group, sweep and end arrive by the client itself; project and id of the script are ignored, as by W&B."""
    trial = shared.run(script, **online(healthy, 900, sweep_id="swp"), trial=900)
    assert trial.ended().cause is Cause.FINISHED
    run = healthy.run("k3x9w2ab-0900")
    assert (run.project, run.entity, run.sweep, run.group) == ("proj", ENTITY, "swp", "digits")
    assert run.settings() == {"lr": 0.25, "opt": {"wd": 0.5, "name": "sgd"}, "width": 8}
    assert run.values("loss") == LOSSES
    assert (run.state, run.exitcode) == ("finished", 0)
    assert is_marked(trial)
    assert trial.series("loss") == LOSSES


@pytest.mark.parametrize("fault", [pytest.param(500, marks=pytest.mark.soak), 401, "hang"])
def test_a_server_in_trouble_at_the_start_costs_an_online_trial_its_timeout_only(shared, script, healthy, fault):
    """`wandb.init` gives up after its timeout, the trial goes on offline, says so once, and loses nothing."""
    healthy.fault = fault
    number = 901 + [500, 401, "hang"].index(fault)
    trial = shared.run(script, **online(healthy, number), trial=number)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert trial.log.count("the trial goes on offline") == 1
    assert logged(trial) == (LOSSES, [0])
    assert config_of(trial)["opt"] == {"wd": 0.5, "name": "sgd"}
    assert not is_marked(trial)
    times = [float(line.split()[1]) for line in trial.log.splitlines() if line.startswith("INIT")]
    assert times[0] < 20


def test_a_server_that_hangs_at_the_end_does_not_keep_a_trial(shared, script, healthy, tmp_path):
    """`run.finish` returns after its timeout; the log is complete, and is not taken for sent."""
    gate = tmp_path / "gate"
    fields = online(healthy, 910)
    trial = shared.start(script, **(fields | {"env": fields["env"] | {"WAIT": str(gate)}}), trial=910)
    trial.until(lambda: gate.with_name("gate.up").exists())
    healthy.fault = "hang"
    gate.touch()
    assert trial.ended().cause is Cause.FINISHED
    times = [float(line.split()[-1]) for line in trial.log.splitlines() if "FINISH" in line]
    assert times[1] - times[0] < 20
    assert trial.log.count("did not take all of the run within 2 s") == 1
    assert logged(trial) == (LOSSES, [0])
    assert not is_marked(trial)


def test_a_killed_online_trial_ends_on_the_server_and_its_next_attempt_goes_on_there(shared, script, healthy, tmp_path):
    """SIGKILL is exit code 137 there; the retry continues the run of the same id."""
    gate = tmp_path / "gate"
    fields = online(healthy, 920)
    trial = shared.start(script, **(fields | {"env": fields["env"] | {"WAIT": str(gate)}}), trial=920)
    trial.until(lambda: gate.with_name("gate.up").exists())
    os.kill(trial.started().pid, signal.SIGKILL)
    assert trial.ended().cause is Cause.KILLED
    healthy.wait(lambda: healthy.run("k3x9w2ab-0920").exitcode == 137)
    gate.touch()
    again = shared.run(script, **(fields | {"env": fields["env"] | {"WAIT": str(gate)}}), trial=920, attempt=1)
    assert again.ended().cause is Cause.FINISHED, again.log
    run = healthy.run("k3x9w2ab-0920")
    assert (run.states[-2:], run.exitcode) == (["running", "finished"], 0)
    assert [row["_step"] for row in run.history] == list(range(len(run.history)))
    assert run.values("loss") == LOSSES[:10] + LOSSES


@pytest.mark.soak
def test_nothing_of_wandb_outlives_the_runner(bench, healthy, tmp_path):
    """Trials that could not reach their server leave no core behind that tries for ever."""
    others = set(psutil.Process().children(recursive=True))
    healthy.fault = 500
    trial = bench.run(bench.script(SCRIPT), **online(healthy, 0), trial=0)
    fork_server = set(psutil.Process().children(recursive=True)) - others
    assert any("wandb-core" in process.name() for process in fork_server)
    bench.runner.close()
    _, alive = psutil.wait_procs(list(fork_server), timeout=10)
    assert not alive
    assert trial.ended().cause is Cause.FINISHED


def test_offline_and_off_give_a_script_the_same_config(shared, script):
    """The trial's values are merged into the script's and locked, whether anything is recorded or not."""
    offline = shared.run(script, wandb=a_wandb_run(930), trial=930, config=CONFIG)
    off = shared.run(script, wandb=None, trial=931, config=CONFIG)
    expected = {"lr": 0.25, "opt": {"wd": 0.5, "name": "sgd"}, "width": 8}
    assert config_of(offline) == config_of(off) == expected
    assert offline.series("loss") == off.series("loss") == LOSSES
    assert logged(offline) == (LOSSES, [0])
    assert not (off.dir / "wandb").exists()
    assert [path.name for path in offline.dir.glob("wandb/offline-run-*")]
    assert not (shared.dir / "elsewhere").exists()


AGAIN = """
import wandb
wandb.init(mode="disabled").log({"loss": -99.0})
run = wandb.init()
epoch = run.define_metric("epoch")
run.define_metric("loss", step_metric=epoch)
run.log({"loss": 5.0}, step=5)
assert wandb.init() is run
wandb.log({"loss": -1.0}, step=3)
run.finish()
try:
    run.log({"loss": -2.0})
except wandb.Error:
    pass
for k in range(2):
    with wandb.init(reinit="create_new") as run:
        run.log({"loss": 4.0 - k, "epoch": k})
"""


@pytest.mark.parametrize("wandb", [True, None])
def test_runs_that_are_begun_again_mean_the_same_switched_off(shared, wandb):
    """What is returned twice, what is over, what is beside another and what only rehearses: as W&B has it offline."""
    number = 942 + (wandb is None)
    run = a_wandb_run(number) if wandb else None
    trial = shared.run(shared.script(AGAIN, "again.py"), wandb=run, trial=number)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    rows = [(report.step, dict(report.metrics)) for report in trial.reports if not report.part]
    assert rows == [
        (0, {"loss": -99.0}),
        (5, {"loss": 5.0, "epoch": 0.0}),
        *((0, {"loss": 4.0 - k, "epoch": k}) for k in range(2)),
    ]
    assert [(report.purged, report.voids) for report in trial.reports if report.purged] == [(("loss",), 1)]


ASKS_FOR_MORE = """
import time, wandb
from tensorboardX import SummaryWriter
wandb.tensorboard.patch(root_logdir="x")
with wandb.init(mode="online", sync_tensorboard=True, settings=wandb.Settings(mode="online")) as run:
    with SummaryWriter() as writer:
        writer.add_scalar("loss", 0.5, 0)
    began = time.monotonic()
print("FINISHED", time.monotonic() - began)
again = wandb.init(reinit=True)
again.log({"more": 1})
"""


def test_a_script_that_asks_for_online_is_offline_all_the_same(shared):
    """`mode="online"`, `sync_tensorboard=True`, `tensorboard.patch` and a second run: offline, at once, every value there."""
    trial = shared.run(shared.script(f"{WITHOUT_TORCH}\n{ASKS_FOR_MORE}", "more.py"), wandb=a_wandb_run(940), trial=940)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert trial.log.count("W&B runs offline inside a trial") == 1
    (took,) = [float(line.split()[1]) for line in trial.log.splitlines() if line.startswith("FINISHED")]
    assert took < 4
    losses, exits = logged(trial)
    assert (losses, exits) == ([0.5], [0, 0])
    assert trial.series("more") == [1.0]


TWO_AT_ONCE = """
import wandb
first = wandb.init()
second = wandb.init(reinit="create_new", id="ignored")
first.log({"a": 1})
second.log({"b": 2})
second.finish()
print("IDS", first.id, second.id)
"""


@pytest.mark.parametrize("sweep_id", [None, "swp"])
def test_two_runs_at_once_are_two_runs(shared, sweep_id):
    """A program that opens a run beside another gets one of another id, whether the sweep is on a server or not."""
    number = 950 + (sweep_id is None)
    run = a_wandb_run(number, sweep_id=sweep_id)
    trial = shared.run(shared.script(TWO_AT_ONCE, "two.py"), wandb=run, trial=number)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert f"IDS k3x9w2ab-0{number} k3x9w2ab-0{number}-1" in trial.log
    assert logged(trial)[1] == [0, 0]


def test_an_offline_trial_hears_of_warnings_and_errors_alone(shared):
    """W&B's hints on how to upload a run, which is not the script's to do here, would bury what the script says."""
    trial = shared.run(shared.script(SPEAKS), trial=990, wandb=a_wandb_run(990))
    assert sorted(trial.log.splitlines()) == ["its own words", "wandb: ERROR its error", "wandb: WARNING its warning"]


def test_an_offline_trial_hears_all_when_its_user_wants_to(shared):
    """WANDB_SHOW_INFO in the user's environment holds."""
    trial = shared.run(shared.script(SPEAKS), trial=991, wandb=a_wandb_run(991), env={"WANDB_SHOW_INFO": "true"})
    assert "wandb: Run summary:" in trial.log


FOLDS = """
import multiprocessing, os, sys
import wandb

def fold(n, results):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        del os.environ[name]
    wandb.login()
    with wandb.init(name=f"fold-{n}") as run:
        run.log({"fold": n})
        results.put([run.id, run.offline, run.dir])

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    results = context.Queue()
    run = wandb.init()
    for n in range(2):
        process = context.Process(target=fold, args=(n, results))
        process.start()
        print("FOLD", results.get(timeout=60))
        process.join()
    run.log({"score": 1.0})
"""


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_a_child_that_drops_its_wandb_variables_stays_offline(bench, monkeypatch, tmp_path, how):
    """Neither login nor server is asked for; its run is one of its own, beside the trial's, in the trial's directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    trial = bench.run(bench.script(FOLDS, "folds.py"), how, wandb=True)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert trial.series("score") == [1.0]
    folds = [
        ast.literal_eval(line.removeprefix("FOLD ")) for line in trial.log.splitlines() if line.startswith("FOLD ")
    ]
    ids = {run_id for run_id, _, _ in folds}
    assert len(ids - {trial.launch.wandb.run_id}) == 2
    assert all(offline and where.startswith(str(trial.dir)) for _, offline, where in folds)


RANKS = """
import multiprocessing, sys
import orchestrator, wandb

def rank(number, ends):
    run = wandb.init(mode="disabled" if number else None)
    for epoch in range(3):
        run.log({"loss": 3.0 - epoch + number})
    if ends:
        run.finish()

if __name__ == "__main__":
    how, ends = sys.argv[1:]
    ranks = [multiprocessing.get_context(how).Process(target=rank, args=(n, ends == "ends")) for n in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    if ends == "reports":
        orchestrator.report(main=1.0)
    sys.exit(3)
"""


@pytest.mark.parametrize(("how", "ends", "code"), [("spawn", "open", 3), ("fork", "reports", 3), ("fork", "ends", 0)])
def test_a_run_that_a_started_process_began_is_the_trials_only_one(shared, how, ends, code):
    """Left open, it ends with the program's code; finished, it is left as it is. A report that cannot be in it says so."""
    number = 960 + ["open", "reports", "ends"].index(ends)
    trial = shared.run(shared.script(RANKS, "ranks.py"), how, ends, wandb=a_wandb_run(number), trial=number)
    assert trial.ended().exit_code == 3
    assert trial.series("loss") == [3.0, 2.0, 1.0]
    trial.until(lambda: logged(trial)[1])
    assert logged(trial) == ([3.0, 2.0, 1.0], [code])
    assert "warning" not in trial.log
    assert trial.log.count("what this process reports is not in that run") == (ends == "reports")
    assert trial.series("main") == [1.0] * (ends == "reports")


FOLDS_OF_THE_RUN = """
import multiprocessing, sys

def fold(number, barrier):
    import wandb
    with wandb.init(id=f"fold-{number}") as run:
        run.log({"loss": number + 1.0}, commit=False)
        barrier.wait(60)  # all are open
        run.log({"acc": 0.5})
        run.log({"loss": number + 0.5})

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    barrier = context.Barrier(2)
    folds = [context.Process(target=fold, args=(number, barrier)) for number in range(2)]
    for process in folds:
        process.start()
    for process in folds:
        process.join()
    import wandb
    with wandb.init() as run:
        run.log({"loss": 9.0})
    print("CODES", [process.exitcode for process in folds])
"""


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_processes_that_begin_the_run_before_their_parent_have_a_record_each(shared, how):
    """W&B gives all of them the sweep's id, and a core of their own: each has its rows, and all count."""
    number = 974 + (how == "spawn")
    trial = shared.run(
        shared.script(FOLDS_OF_THE_RUN, "folds_of_the_run.py"), how, wandb=a_wandb_run(number), trial=number
    )
    assert "CODES [0, 0]" in trial.log
    rows = [dict(report.metrics) for report in trial.reports]
    assert rows.pop() == {"loss": 9.0}
    expected = [row for n in range(2) for row in ({"loss": n + 1.0, "acc": 0.5}, {"loss": n + 0.5})]
    assert sorted(rows, key=str) == sorted(expected, key=str)
    assert sorted(map(len, (run.rows for run in wandb_runs(trial)))) == [1, 2, 2]


HANDED_OVER = """
import multiprocessing, orchestrator, wandb

def work(run):
    run.log({"loss": 0.5})
    orchestrator.report(acc=0.25)

if __name__ == "__main__":
    run = wandb.init()
    run.log({"loss": 2.0})
    process = multiprocessing.get_context("spawn").Process(target=work, args=(run,))
    process.start()
    process.join()
    run.log({"loss": 1.0})
"""


def test_a_run_that_was_handed_to_a_process_goes_on_after_it(shared):
    """That process logs to it, and does not finish it: the trial would wait for ever for the end of its run."""
    trial = shared.run(shared.script(HANDED_OVER, "handed_over.py"), wandb=a_wandb_run(976), trial=976)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert trial.series("loss") == [2.0, 0.5, 1.0]
    assert trial.series("acc") == [0.25]
    trial.until(lambda: logged(trial)[1])
    assert logged(trial) == ([2.0, 0.5, 1.0], [0])


TORN_DOWN = """
import wandb
run = wandb.init()
run.log({"loss": 1.0})
wandb.teardown(2)
again = wandb.init()
again.log({"loss": 0.5})
again.finish()
wandb.teardown()
"""


def test_teardown_finishes_the_runs_that_are_open(shared):
    """As where the core ends with it: with its exit code. What is finished stays so, and W&B can be used again."""
    trial = shared.run(shared.script(TORN_DOWN, "torn_down.py"), wandb=a_wandb_run(970), trial=970)
    assert trial.ended().exit_code == 0
    assert logged(trial) == ([1.0, 0.5], [2, 0])
    assert "warning" not in trial.log
