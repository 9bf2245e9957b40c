"""What a trial logs by one API is in its reports, its TensorBoard run and its W&B run: each read back and compared."""

import math
import signal
import sys

import pytest

from orchestrator.trial.contract.events import Cause
from orchestrator.trial.contract.history import joined
from orchestrator.trial.contract.launch import ProgramKind
from tests.trial.conftest import PROGRAMS, WITHOUT_TORCH, same, scalars, single, wandb_runs

LR = 0.3
PRELOAD = ("torch", "torch.utils.tensorboard", "tensorboardX", "wandb")
OF_PYTHON = {"config": {"lr": LR}, "wandb": True}


@pytest.fixture(scope="module")
def expected():
    """What the model of the programs yields, computed here."""
    import sys

    sys.path.insert(0, str(PROGRAMS))
    try:
        from model import epochs
    finally:
        sys.path.remove(str(PROGRAMS))
    return {name: [float(metrics[name]) for _, metrics in epochs(LR)] for name in ("loss", "acc", "odd")}


@pytest.fixture(scope="module")
def programs(shared):
    """The path of a program of the folder, as the script that is run next."""
    (shared.dir / "model.py").write_text((PROGRAMS / "model.py").read_text())
    return lambda name: shared.script((PROGRAMS / f"{name}.py").read_text())


def agree(trial, expected, *, runs=None, doubles=True):
    """Every metric is in all three places, once per step, with the same value; doubles where the API had them."""
    board = scalars(runs or trial.dir)
    (logged,) = wandb_runs(trial)
    for name, values in expected.items():
        assert same(trial.series(name), values) if doubles else same(single(trial.series(name)), single(values))
        assert [step for step, _ in board[name]] == list(range(len(values))), name
        assert same([value for _, value in board[name]], single(values)), name
        rows = logged.series(name)
        assert same([value for _, value in rows], trial.series(name)), name
    return logged


@pytest.mark.parametrize(
    ("program", "doubles"),
    [
        ("log_wandb", True),
        ("log_tensorboard", False),
        pytest.param("log_own", True, marks=pytest.mark.soak),
        ("log_tensorboardx", False),
    ],
)
def test_one_api_is_enough(shared, programs, expected, program, doubles):
    """W&B only, TensorBoard only, `orchestrator.report` only, tensorboardX: all three records agree value for value."""
    if program == "log_tensorboardx":
        config = {"lr": 0.1}
        from_model = None
    else:
        config, from_model = {"lr": LR}, expected
    trial = shared.run(programs(program), f"--lr={LR}", config=config, wandb=True)
    assert (trial.ended().cause, trial.ended().error) == (Cause.FINISHED, None), trial.log
    assert "warning" not in trial.log
    values = from_model or {name: trial.series(name) for name in expected}
    assert all(len(series) == 5 for series in values.values())
    logged = agree(trial, values, doubles=doubles)
    assert logged.config["lr"] == config["lr"]
    assert logged.exit_code == 0
    assert logged.run.run_id == trial.launch.wandb.run_id


def test_what_a_program_sends_to_both_is_mirrored_nowhere(shared, programs, expected):
    """Common names are reported once and are once in each place; the others are mirrored from where they were."""
    trial = shared.run(programs("log_both"), **OF_PYTHON)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    for name, values in expected.items():
        assert same(single(trial.series(name)), single(values)), name
    own, mirrored = scalars(trial.dir / "runs" / "mine"), scalars(trial.dir)
    assert set(own) == {*expected, "only_tensorboard"}
    assert set(mirrored) == {*expected, "only_tensorboard", "only_wandb"}
    (logged,) = wandb_runs(trial)
    for name, values in expected.items():
        assert same([value for _, value in logged.series(name)], values), name
        assert same([value for _, value in own[name]], single(values)), name
    steps = [0, 1, 2, 3, 4]
    assert [v for _, v in mirrored["only_wandb"]] == [v for _, v in own["only_tensorboard"]] == steps
    assert [v for _, v in logged.series("only_wandb")] == steps
    assert [v for _, v in logged.series("only_tensorboard")] == steps


@pytest.mark.parametrize("name", ["train", pytest.param("Trainable", marks=pytest.mark.soak)])
def test_tunes_programs_report_and_go_on_from_their_checkpoint(shared, expected, name):
    """Function and class API: reports, both mirrors, context, and a second attempt that resumes where the first died."""
    for file in ("tuned.py", "model.py"):
        (shared.dir / file).write_text((PROGRAMS / file).read_text())
    of_tune = {"kind": ProgramKind.OBJECT, "wandb": True}
    whole = shared.run(f"tuned:{name}", config={"lr": LR}, **of_tune)
    assert whole.ended().cause is Cause.FINISHED, whole.log
    for metric, values in expected.items():
        assert same(whole.series(metric), values)
        assert same([v for _, v in scalars(whole.dir)[metric]], single(values))
        assert same([v for _, v in wandb_runs(whole)[0].series(metric)], values)
    assert {key for report in whole.reports for key in report.metrics} == set(expected)

    config = {"lr": LR, "die_at": 2}
    died = shared.run(f"tuned:{name}", config=config, **of_tune)
    assert died.ended().error == "RuntimeError: died"
    assert wandb_runs(died)[0].exit_code == 1
    again = shared.run(f"tuned:{name}", config={"lr": LR}, trial=died.launch.trial, attempt=1, **of_tune)
    assert again.ended().cause is Cause.FINISHED, again.log
    assert same(died.series("loss") + again.series("loss"), expected["loss"])
    if name == "train":
        assert f"context k3x9w2ab-{whole.launch.trial:04d} {whole.dir} 1 0" in whole.log
    else:
        assert "restored 2" in again.log
        assert "cleaned up" in again.log
    assert len(list((again.dir / "checkpoints").iterdir())) == 1


RICH_TENSORBOARD = """
import numpy as np, torch
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from torch import nn
from torch.utils.tensorboard import SummaryWriter
writer = SummaryWriter(comment="x")
model = nn.Linear(4, 2)
writer.add_graph(model, torch.zeros(1, 4))
writer.add_histogram("weights", model.weight, 0)
writer.add_image("image", np.zeros((3, 4, 4), dtype=np.uint8), 0)
writer.add_images("images", np.zeros((2, 3, 4, 4), dtype=np.uint8), 0)
writer.add_embedding(torch.zeros(3, 2), metadata=["a", "b", "c"])
writer.add_pr_curve("pr", np.array([0, 1, 1]), np.array([0.1, 0.9, 0.4]), 0)
writer.add_text("text", "hello", 0)
writer.add_scalars("group", {"train": 1.0, "valid": 2.0}, 3)
writer.add_scalar("new", torch.tensor(0.5), 4, new_style=True)
writer.add_scalar("double", 0.1, 4, new_style=True, double_precision=True)
writer.add_hparams({"lr": 0.1, "layers": 2}, {"hparam/acc": 0.75})
for value in (1.0, 2.0, 3.0):
    writer.add_scalar("unstepped", value)
writer.close()
kept = EventFileWriter(writer.log_dir + "/kept")
kept.add_event(Event(step=1, summary=Summary(value=[Summary.Value(tag="alone", simple_value=2.0)])))
kept.close()
print("done", writer.log_dir)
"""


def test_everything_else_of_a_summary_writer_stays_as_it_is(shared):
    """Graphs, histograms, images, embeddings, curves, text are written unchanged; scalars are reports, also of `add_hparams`."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trial = shared.run(shared.script(RICH_TENSORBOARD), wandb=True)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert trial.log.endswith(f"done {trial.dir}\n")
    run = EventAccumulator(str(trial.dir))
    run.Reload()
    tags = run.Tags()
    assert tags["graph"] is True
    assert "weights" in tags["histograms"]
    assert {"image", "images"} <= set(tags["images"])
    assert {"text/text_summary", "pr", "new", "double"} <= set(tags["tensors"])
    assert (trial.dir / "projector_config.pbtxt").exists()
    assert trial.series("group/train") == [1.0]
    assert trial.series("group/valid") == [2.0]
    assert (trial.series("new"), trial.series("double")) == ([0.5], [0.1])
    assert trial.series("hparam/acc") == [0.75]
    assert trial.series("unstepped") == [1.0, 2.0, 3.0]
    assert trial.series("alone") == [2.0]
    assert scalars(trial.dir / "group_train") == {"group": [(3, 1.0)]}
    board = scalars(trial.dir)
    assert (board["group/train"], board["group/valid"], board["hparam/acc"]) == ([(3, 1.0)], [(3, 2.0)], [(0, 0.75)])
    (logged,) = wandb_runs(trial)
    assert [value for _, value in logged.series("unstepped")] == [1.0, 2.0, 3.0]
    assert [value for _, value in logged.series("group/train")] == [1.0]


RICH_WANDB = """
import numpy as np, torch, wandb
from torch import nn
run = wandb.init(config={"lr": 9.0, "own": 1})
run.config.update({"lr": 5.0}, allow_val_change=True)
assert run.config.lr == 0.3 and run.config.own == 1
run.define_metric("loss", summary="min")
model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
run.watch(model, log="all", log_freq=1, log_graph=True)
for step in range(3):
    loss = model(torch.ones(2, 4)).square().mean()
    loss.backward()
    run.log({"loss": 3.0 - step, "deep": {"er": {"x": step}}, "tensor": torch.tensor(1.5), "array": np.arange(3)}, commit=False)
    run.log({"late": step})
run.log({"image": wandb.Image(np.zeros((4, 4, 3), dtype=np.uint8), caption="a caption"), "word": "text", "none": None})
run.log({"table": wandb.Table(columns=["a"], data=[[1]]), "hist": wandb.Histogram([1, 2, 3])})
run.log({"stepped": 1.0}, step=10)
run.log({"stepped": 2.0}, step=20)
run.log({"past": 0.0}, step=5)
run.summary["best"] = 7
print(f"done {run.id} {run.group} {run.name} {run.dir}")
"""


def test_everything_of_a_wandb_run_works(shared):
    """Images, tables, watch(), define_metric, commit, step, nested names, locked config: as in W&B, and scalars are reports."""
    trial = shared.run(shared.script(RICH_WANDB), **OF_PYTHON)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    (logged,) = wandb_runs(trial)
    assert f"done {logged.run.run_id} digits {trial.launch.wandb.name} {trial.dir}/wandb/" in trial.log, trial.log
    assert "locked by 'sweep'" in trial.log
    assert logged.config["lr"] == LR
    assert logged.exit_code == 0
    assert trial.series("loss") == [3.0, 2.0, 1.0]
    assert trial.series("deep.er.x") == trial.series("late") == [0.0, 1.0, 2.0]
    assert trial.series("tensor") == [1.5] * 3
    assert [(r.step, r.metrics["stepped"]) for r in trial.reports if "stepped" in r.metrics] == [(10, 1.0), (20, 2.0)]
    kinds = {
        key.removesuffix("._type"): value for row in logged.rows for key, value in row.items() if key.endswith("._type")
    }
    assert (kinds["image"], kinds["table"], kinds["hist"]) == ("image-file", "table-file", "histogram")
    assert any(key.startswith("gradients/") for key in kinds)
    board = scalars(trial.dir)
    assert board["loss"] == [(0, 3.0), (1, 2.0), (2, 1.0)]
    assert board["deep.er.x"] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert board["stepped"] == [(10, 1.0), (20, 2.0)]
    assert not {"image", "table", "hist", "array", "word", "none"} & {name for r in trial.reports for name in r.metrics}


SEVERAL_RUNS = """
import wandb
with wandb.init() as first:
    first.log({"a": 1})
second = wandb.init(reinit=True)
second.log({"a": 2})
third = wandb.init(reinit="finish_previous", id="other")
third.log({"b": 3})
print(first.config.lr, second.config.lr, third.config.lr)
"""


def test_several_runs_in_one_script(shared):
    """`with wandb.init()`, reinit, even an id of its own: every run is the trial's, has its config, is captured and finished."""
    trial = shared.run(shared.script(SEVERAL_RUNS), **OF_PYTHON)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert trial.log.splitlines()[-1] == f"{LR} {LR} {LR}" or f"{LR} {LR} {LR}" in trial.log
    assert (trial.series("a"), trial.series("b")) == ([1.0, 2.0], [3.0])
    runs = wandb_runs(trial)
    assert [run.run.run_id for run in runs] == [trial.launch.wandb.run_id] * 3
    assert [run.exit_code for run in runs] == [0, 0, 0]
    assert [run.rows[-1].get("a") for run in runs] == [1, 2, None]


@pytest.mark.parametrize("text", ["sys.exit(3)", "1 / 0", "os._exit(5)", "os.kill(os.getpid(), 9)"])
def test_a_run_that_its_script_does_not_finish_ends_with_the_right_code(shared, text):
    """Exit code, exception, os._exit and a signal: the offline run has every row and how it ended."""
    script = f"import os, sys, wandb\nrun = wandb.init()\nfor i in range(3):\n    run.log({{'a': i}}, step=i)\n{text}\n"
    trial = shared.run(shared.script(script), **OF_PYTHON)
    code = {"sys.exit(3)": 3, "1 / 0": 1, "os._exit(5)": 5}.get(text, 137)
    assert trial.ended().exit_code == (None if code == 137 else code)
    shared.until(lambda: wandb_runs(trial)[0].exit_code is not None, trial)
    (logged,) = wandb_runs(trial)
    assert logged.exit_code == code
    assert [v for _, v in logged.series("a")] == [0, 1, 2]
    assert trial.series("a") == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("mode", ["online", "disabled", "offline"])
def test_a_scripts_own_mode(shared, mode):
    """`mode="online"` runs offline here, `mode="disabled"` has no run of W&B; the metrics are captured all the same."""
    script = (
        f"import wandb\nrun = wandb.init(mode={mode!r})\nfor i in range(3):\n    run.log({{'a': i}})\nrun.finish()\n"
    )
    trial = shared.run(shared.script(script), **OF_PYTHON)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert trial.series("a") == [0.0, 1.0, 2.0]
    assert [v for _, v in scalars(trial.dir)["a"]] == [0.0, 1.0, 2.0]
    assert len(wandb_runs(trial)) == (0 if mode == "disabled" else 1)
    assert ("W&B runs offline inside a trial" in trial.log) == (mode == "online")


def test_wandb_switched_off(shared):
    """`wandb: off`: a script that logs to W&B runs, is captured, and leaves no W&B files."""
    script = "import wandb\nrun = wandb.init()\nfor i in range(3):\n    wandb.log({'a': i})\nprint(run.config['lr'])\n"
    trial = shared.run(shared.script(script), config={"lr": LR})
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert trial.log == f"{LR}\n"
    assert trial.series("a") == [0.0, 1.0, 2.0]
    assert not (trial.dir / "wandb").exists()


def test_sync_tensorboard_is_done_by_capture(shared):
    """`sync_tensorboard=True`: TensorBoard's values are in the W&B run at once, and finish() does not take its 5 to 10 s."""
    script = (
        "import time, wandb\nfrom torch.utils.tensorboard import SummaryWriter\n"
        "run = wandb.init(sync_tensorboard=True)\nwriter = SummaryWriter('runs/x')\n"
        "for i in range(3):\n    writer.add_scalar('a', i / 4, i)\n"
        "began = time.time()\nrun.finish()\nprint('took', time.time() - began < 4)\n"
    )
    trial = shared.run(shared.script(script), **OF_PYTHON)
    assert "took True" in trial.log
    (logged,) = wandb_runs(trial)
    assert [v for _, v in logged.series("a")] == [0.0, 0.25, 0.5]


DIRECTORIES = """
import os, sys
from torch.utils.tensorboard import SummaryWriter
for place in ["runs/a", "../up", "./b/../c", sys.argv[1]]:
    with SummaryWriter(place) as writer:
        writer.add_scalar("x", 1.0, 0)
    print(writer.log_dir)
"""


def test_relative_writers_stay_in_the_trial_and_absolute_ones_where_they_are(shared, tmp_path):
    """`./runs/x` and even `../x` land in the trial's directory; an absolute directory is left alone."""
    trial = shared.run(shared.script(DIRECTORIES), str(tmp_path / "absolute"))
    places = [trial.dir / "runs" / "a", trial.dir / "up", trial.dir / "b" / "c", tmp_path / "absolute"]
    assert trial.log.splitlines() == [str(place) for place in places]
    assert all(scalars(place) == {"x": [(0, 1.0)]} for place in places)


def hparams_of(directory):
    """The HParams page's session of a trial: its hyperparameters and its status."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    run = EventAccumulator(str(directory))
    run.Reload()
    contents = run.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    found = metadata.parse_session_start_info_plugin_data(contents).hparams
    hparams = {name: getattr(found[name], found[name].WhichOneof("kind")) for name in found}
    if metadata.SESSION_END_INFO_TAG not in run.PluginTagToContent("hparams"):
        return hparams, None
    content = run.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    return hparams, metadata.parse_session_end_info_plugin_data(content).status


def test_hparams_are_there_from_the_first_second_and_the_status_at_the_end(bench):
    """A running trial is on the HParams page; finished, failed, killed and stopped ones have their status."""
    config = {"lr": 0.5, "opt": {"name": "adam"}, "deep": True}
    live = bench.start(bench.script("print('up')\nimport time\ntime.sleep(1000)\n", "live.py"), config=config)
    live.printed("up")
    assert hparams_of(live.dir) == ({"lr": 0.5, "opt.name": "adam", "deep": True}, None)
    live.stop()
    live.ended()
    done = lambda trial: bench.until(lambda: hparams_of(trial.dir)[1])  # noqa: E731 - the server writes it after the end
    assert done(live) == 1  # STATUS_SUCCESS
    assert done(bench.run(bench.script("pass"), config=config)) == 1
    failed = bench.run(bench.script("1 / 0", "failing.py"), config=config)
    assert done(failed) == 2  # STATUS_FAILURE
    killed = bench.run(bench.script("import os\nos.kill(os.getpid(), 9)", "killed.py"), config=config)
    assert done(killed) == 2
    retried = bench.run(bench.script("pass"), config=config, trial=killed.launch.trial, attempt=1)
    assert done(retried) == 1
    cold = bench.run(["true"], config=config, kind=ProgramKind.COMMAND)
    assert done(cold) == 1
    assert hparams_of(cold.dir)[0]["lr"] == 0.5


BREAKING = """
import os, shutil, sys
import orchestrator
os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), 200)
sys.stdout = sys.stderr = open(200, "w")
orchestrator.report(loss=1.0)
shutil.rmtree(os.environ["SWEEP_TRIAL_DIR"])
os.closerange(3, 100)
for step in range(3):
    orchestrator.report(loss=2.0)
print("went on")
"""


def test_capture_never_breaks_a_program(bench):
    """With its directory gone and its files closed, the program goes on, after one warning."""
    log = bench.dir / "held.log"
    assert bench.run(bench.script(BREAKING), str(log)).ended().exit_code == 0
    assert log.read_text().count("sweep: warning") == 1
    assert log.read_text().endswith("went on\n")


THREADS = """
import threading
import orchestrator
def work(name):
    for i in range(200):
        orchestrator.report({name: i}, step=i)
threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
"""


def test_threads_report_without_loss(shared):
    """Four threads that report at once: every report is there, in each thread's order."""
    trial = shared.run(shared.script(THREADS))
    for n in range(4):
        assert trial.series(f"t{n}") == [float(i) for i in range(200)]
    assert [report.index for report in trial.reports] == list(range(800))


PROCESSES = f"""
{WITHOUT_TORCH}
import multiprocessing, orchestrator, subprocess
from tensorboardX import SummaryWriter
def work(name):
    with SummaryWriter(name) as writer:
        for i in range(3):
            writer.add_scalar(name, i, i)
if __name__ == "__main__":
    orchestrator.report(main=1.0)
    for method in ("fork", "spawn"):
        process = multiprocessing.get_context(method).Process(target=work, args=(method,))
        process.start(); process.join()
        assert process.exitcode == 0
    subprocess.run([sys.executable, "-c", "import orchestrator; orchestrator.report(sub=1.0)"], check=True)
    orchestrator.report(main=2.0)
"""


def test_processes_of_a_trial_are_captured_too(shared):
    """What a forked, a spawned and a started Python log counts, is read in one order, and lands in the trial's directory."""
    trial = shared.run(shared.script(PROCESSES))
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert trial.series("main") == [1.0, 2.0]
    assert trial.series("fork") == trial.series("spawn") == [0.0, 1.0, 2.0]
    assert trial.series("sub") == [1.0]
    assert [report.index for report in trial.reports] == list(range(9))
    assert len(scalars(trial.dir / "fork")["fork"]) == len(scalars(trial.dir / "spawn")["spawn"]) == 3
    assert trial.log == ""


def test_nan_and_infinities_round_trip(shared):
    """Every float that JSON has no word for comes back as itself."""
    script = "import orchestrator\norchestrator.report(a=float('nan'), b=float('inf'), c=float('-inf'), d=5e-324, e=2**1100)\n"
    (report,) = shared.run(shared.script(script)).reports
    assert math.isnan(report.metrics["a"])
    assert [report.metrics[n] for n in "bcde"] == [math.inf, -math.inf, 5e-324, math.inf]


MIRRORED_AND_KILLED = """
import orchestrator, os
orchestrator.report(a=1.0)
orchestrator.report(a=2.0)
os.kill(os.getpid(), 11)
"""


def test_a_run_that_was_made_for_a_killed_program_is_finished_too(shared):
    """The mirror of a program without W&B has its rows, and the code of the signal."""
    trial = shared.run(shared.script(MIRRORED_AND_KILLED), wandb=True)
    assert trial.ended().signal == signal.SIGSEGV
    shared.until(lambda: wandb_runs(trial)[0].exit_code is not None, trial)
    (logged,) = wandb_runs(trial)
    assert logged.exit_code == 128 + signal.SIGSEGV
    assert [v for _, v in logged.series("a")] == [1.0, 2.0]


SERIES = """
import sys
from torch.utils.tensorboard import SummaryWriter
train, valid = SummaryWriter("logs/train"), SummaryWriter("logs/valid")
elsewhere = SummaryWriter(sys.argv[1])
for i in range(3):
    train.add_scalar("loss", 0.5 - 0.1 * i, i)
    valid.add_scalar("loss", 0.5 + 0.1 * i, i)
    elsewhere.add_scalar("other", i, i)
for writer in (train, valid, elsewhere):
    writer.close()
with SummaryWriter("logs/train", purge_step=1) as again:
    again.add_scalar("loss", 0.7, 1)
with SummaryWriter("lightning_logs/version_0") as hp:
    hp.add_hparams({"lr": 9.0}, {"hp_metric": -1.0}, run_name="mine")
    hp.add_hparams({"lr": 9.0}, {"hp_metric": 2.0})
"""


def test_series_of_several_writers_are_told_apart_and_shown_in_the_trials_run(shared, tmp_path):
    """Two tags of one name are two series from their beginning; a purge takes back; the HParams page has one row with it all."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trial = shared.run(shared.script(SERIES), str(tmp_path), metric="valid/loss", config={"lr": 0.5})
    assert trial.ended().cause is Cause.FINISHED, trial.log
    rows = [(r.step, {k: round(v, 6) for k, v in r.metrics.items()}) for r in joined([trial.reports])]
    assert [row for row in rows if "valid/loss" in row[1]] == [(i, {"valid/loss": 0.5 + 0.1 * i}) for i in range(3)]
    assert [row for row in rows if "train/loss" in row[1]] == [(0, {"train/loss": 0.5}), (1, {"train/loss": 0.7})]
    assert {name for _, metrics in rows for name in metrics} == {"train/loss", "valid/loss", "other", "hp_metric"}
    board = scalars(trial.dir)
    assert {name: value for name, rows in board.items() for _, value in rows[-1:]} == pytest.approx(
        {"loss": 0.5, "train/loss": 0.7, "valid/loss": 0.7, "other": 2.0, "hp_metric": 2.0}
    )
    places = {path.parent for path in trial.dir.rglob("events.out.tfevents.*")}
    readers = {place: EventAccumulator(str(place)).Reload() for place in places}
    assert [place for place, reader in readers.items() if _has_hparams(reader)] == [trial.dir]


FOLDS = """
import multiprocessing, sys
from torch.utils.tensorboard import SummaryWriter

def fold(n):
    with SummaryWriter(f"runs/fold{n}") as writer:
        for i in range(3):
            writer.add_scalar("loss", n + 0.25 * i, i)
    writer.close()

if __name__ == "__main__":
    processes = [multiprocessing.get_context(sys.argv[1]).Process(target=fold, args=(n,)) for n in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
"""


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.soak)])
def test_series_of_several_processes_are_told_apart(shared, start):
    """One tag in the directories of two folds is two series; a plain name is no metric, one of theirs is."""
    script = shared.script(FOLDS)
    trial = shared.run(script, start, metric="loss")
    assert trial.ended().cause is Cause.NO_METRIC
    assert "'fold0/loss' and 'fold1/loss'" in trial.ended().error.replace(
        "'fold1/loss' and 'fold0/loss'", "'fold0/loss' and 'fold1/loss'"
    )
    trial = shared.run(script, start, metric="fold1/loss")
    assert trial.ended().cause is Cause.FINISHED, trial.log
    rows = {
        name: [r.metrics[name] for r in joined([trial.reports]) if name in r.metrics]
        for name in ("fold0/loss", "fold1/loss")
    }
    assert rows == {"fold0/loss": [0.0, 0.25, 0.5], "fold1/loss": [1.0, 1.25, 1.5]}
    board = scalars(trial.dir)
    shown = {tag: [value for _, value in found] for tag, found in board.items()}
    assert sorted(value for values in shown.values() for value in values) == [0.0, 0.25, 0.5, 1.0, 1.25, 1.5]
    folds = {tag: {int(value) for value in values} for tag, values in shown.items()}
    assert all(len(found) == 1 for found in folds.values()), "one tag has one fold's values"
    assert folds.keys() & {"fold0/loss", "fold1/loss"}, "who comes second finds in the reports what it is called"


RANKS = f"""
{WITHOUT_TORCH}
import multiprocessing
from tensorboardX import SummaryWriter

def rank(n, start, barrier):
    step = 0
    with SummaryWriter(start) as one, SummaryWriter(f"{{start}}/{{n}}") as own:
        for turn in (0, 1, 0, 0, 1, 1, 0, 1):
            if turn == n:
                one.add_scalar(start, n, step)
                own.add_scalar(f"own-{{start}}", n + 0.25 * step, step)
                step += 1
            barrier.wait(60)

if __name__ == "__main__":
    for start in ("fork", "spawn"):
        context = multiprocessing.get_context(start)
        barrier = context.Barrier(2)
        processes = [context.Process(target=rank, args=(n, start, barrier)) for n in range(2)]
        [process.start() for process in processes]
        [process.join() for process in processes]
"""


def test_ranks_have_one_series_in_one_directory_and_two_in_two(shared):
    """Of a tag and step in one directory one value counts, though a rank is behind; directories of their own tell them apart."""
    trial = shared.run(shared.script(RANKS))
    assert trial.ended().cause is Cause.FINISHED, trial.log
    reports = joined([trial.reports])
    for start in ("fork", "spawn"):
        rows = [(report.step, report.metrics[start]) for report in reports if start in report.metrics]
        assert rows == [(0, 1.0), (1, 0.0), (2, 1.0), (3, 1.0)]
        for n in range(2):
            name = f"{n}/own-{start}"
            assert [r.metrics[name] for r in reports if name in r.metrics] == [n + 0.25 * step for step in range(4)]


def _has_hparams(reader) -> bool:
    try:
        return bool(reader.PluginTagToContent("hparams"))
    except KeyError:
        return False


def test_a_plain_name_of_several_series_is_no_metric(shared, tmp_path):
    """The error has both names; one of them, or the whole path that TensorBoard shows, is a metric."""
    script = shared.script(SERIES)
    trial = shared.run(script, str(tmp_path), metric="loss")
    assert trial.ended().cause is Cause.NO_METRIC
    assert trial.ended().error == (
        "'loss' is ambiguous: several SummaryWriters log it, 'train/loss' and 'valid/loss'; let `metric` name one of them"
    )
    trial = shared.run(script, str(tmp_path), metric="logs/valid/loss")
    assert trial.ended().cause is Cause.FINISHED
    assert [round(value, 6) for value in trial.series("logs/valid/loss")] == [0.5, 0.6, 0.7]


BACK = (0, 10, 5, 20, 15)

LAGGING = f"""
{WITHOUT_TORCH}
from tensorboardX import SummaryWriter
with SummaryWriter() as writer:
    for name in ("acc", "loss"):
        for step in range(3):
            writer.add_scalar(name, 0.5, step)
    for step in {BACK}:
        writer.add_scalar("back", step, step)
import time
time.sleep(0.5)  # its files are looked at meanwhile
"""


def test_what_mirrors_a_commands_writer_is_not_read_back(bench):
    """The steps of its second tag are behind the run's, so that the mirrored rows say the step: no metric of the program's.

    A tag that goes back itself keeps all of its values in the W&B run.
    """
    script = bench.script(LAGGING)
    trial = bench.run((sys.executable, script), kind=ProgramKind.COMMAND, wandb=True)
    assert {name for report in trial.reports for name in report.metrics} == {"acc", "loss", "back"}
    (run,) = wandb_runs(trial)
    assert [row["back"] for row in run.rows if "back" in row] == list(BACK)
