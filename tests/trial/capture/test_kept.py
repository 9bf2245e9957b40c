"""Models of every trial are there after all have run: saved files, artifacts; and who overwrites whom is said."""

import os
import signal
from pathlib import Path

import pytest

from orchestrator.trial.contract.events import Cause
from orchestrator.trial.formats.wandb_log import WandbLog
from tests.trial.conftest import a_wandb_run

PRELOAD = ()

SAVES = """
import os, pathlib, sys, wandb
run = wandb.init()
value = str(run.config["lr"])
os.makedirs("out/deep", exist_ok=True)
def write(name, text):
    path = pathlib.Path("out", name)
    path.write_text(text)
    return path
for name in ("now.pt", "end.pt", "live.pt", "deep/a.txt", "deep/b.txt", "b[1].txt", "gone.pt"):
    write(name, "first " + value)
wandb.save("out/now.pt", policy="now")
run.save("out/end.pt", policy="end")
run.save("out/live.pt")
run.save("out/gone.pt", policy="end")
print("SAVED", sorted(os.path.relpath(p, run.dir) for p in run.save("out/deep/*.txt", base_path="out", policy="now")))
run.save("out/b[1].txt", glob=False)
run.save(os.path.abspath("out/deep/a.txt"))
inside = pathlib.Path(run.dir, "inside.txt")
inside.write_text("inside " + value)
run.save(str(inside), base_path=run.dir)
for name in ("now.pt", "end.pt", "live.pt"):
    write(name, "last " + value)
os.remove("out/gone.pt")
run.log({"loss": float(value)})
if "--kill" in sys.argv:
    os.kill(os.getpid(), 9)
"""

KEPT = {
    "out/now.pt": "first",
    "out/end.pt": "last",
    "out/live.pt": "last",
    "out/gone.pt": "first",
    "deep/a.txt": "first",
    "deep/b.txt": "first",
    "out/b[1].txt": "first",
    "inside.txt": "inside",
}


def saved(trial):
    """What the files of a trial's run say, the trial's value apart: {name: text}; none is a link."""
    (root,) = trial.dir.glob("wandb/offline-run-*/files")
    paths = [path for path in root.rglob("*") if path.suffix in {".pt", ".txt"} and path.name != "requirements.txt"]
    assert not [path for path in paths if path.is_symlink()]
    assert {path.stat().st_nlink for path in paths} == {1}
    value = f" {trial.launch.config['lr']}"
    return {str(path.relative_to(root)): path.read_text().removesuffix(value) for path in paths}


def test_each_trial_keeps_what_it_saved(shared):
    """Three trials save the same paths: each has its own content, by policy, with W&B's layout, and says W&B's paths."""
    script = shared.script(SAVES)
    trials = [shared.run(script, wandb=a_wandb_run(n), trial=n, config={"lr": float(n)}) for n in range(3)]
    for trial in trials:
        assert trial.ended().cause is Cause.FINISHED, trial.log
        assert saved(trial) == KEPT
        assert "SAVED ['deep/a.txt', 'deep/b.txt']" in trial.log
        records = [record for log in trial.dir.glob("wandb/*/run-*.wandb") for record in WandbLog(log).read()]
        names = {item.path for record in records for item in record.files.files}
        assert set(KEPT) <= names


def test_a_killed_trial_keeps_what_was_copied(shared):
    """SIGKILL at the end: the copies of the calls are there."""
    trial = shared.run(shared.script(SAVES), "--kill", wandb=a_wandb_run(5), trial=5, config={"lr": 5.0})
    assert trial.ended().cause is Cause.KILLED
    assert set(saved(trial)) == set(KEPT)
    assert saved(trial)["out/end.pt"] in {"first", "last"}


ARTIFACTS = """
import os, wandb
run = wandb.init()
value = str(run.config["lr"])
open("model.pt", "w").write("model " + value)
os.makedirs("data", exist_ok=True)
open("data/x.txt", "w").write("x " + value)
art = wandb.Artifact("weights", type="model")
art.add_file("model.pt", policy="immutable")
art.add_dir("data", name="data", policy="immutable")
with art.new_file("notes.md") as file:
    file.write("notes " + value)
art.add(wandb.Table(columns=["a"], data=[[1]]), "table")
assert run.log_artifact(art, aliases=["best"]).wait() is art
logged = run.log_artifact("model.pt", name="plain", type="model")
run.log_model("model.pt", name="model")
run.link_model("model.pt", "registered")
run.link_artifact(art, "registry/collection")
run.log_code(".", include_fn=lambda path: path.endswith("train.py"))
used = run.use_artifact("weights:latest")
print("USED", open(os.path.join(used.download(), "model.pt")).read(), run.use_artifact("e/p/weights:best") is art)
print("COPY", sorted(os.listdir(used.download(root="copy" + value))))
print("MODEL", open(run.use_model("model:v0")).read())
data = wandb.Artifact("data", type="dataset")
data.add_file("data/x.txt")
assert run.use_artifact(data) is data
try:
    run.use_artifact("elsewhere:latest")
except TypeError as error:
    print("REFUSED", error)
open("model.pt", "w").write("overwritten")
"""


def test_artifacts_keep_their_files_in_the_trial(shared):
    """Every way to log one leaves its files as they were, also those said to be immutable; what was logged can be used."""
    script = shared.script(ARTIFACTS)
    trials = [shared.run(script, wandb=a_wandb_run(n), trial=n, config={"lr": float(n)}) for n in (10, 11)]
    for trial in trials:
        value = trial.launch.config["lr"]
        assert trial.ended().cause is Cause.FINISHED, trial.log
        kept = trial.dir / "artifacts"
        assert (kept / "weights:v0" / "model.pt").read_text() == f"model {value}"
        assert (kept / "weights:v0" / "data" / "x.txt").read_text() == f"x {value}"
        assert (kept / "weights:v0" / "notes.md").read_text() == f"notes {value}"
        assert (kept / "weights:v0" / "table.table.json").exists()
        assert (kept / "plain:v0" / "model.pt").read_text() == f"model {value}"
        assert list(kept.glob("source-*"))
        assert f"USED model {value} True" in trial.log
        assert "COPY ['data', 'model.pt', 'notes.md', 'table.table.json']" in trial.log
        assert f"MODEL model {value}" in trial.log
        assert "REFUSED Cannot use artifact when in offline mode." in trial.log
        assert "`orchestrator: {wandb: online}` in the spec gives scripts W&B's online mode" in trial.log
        records = [record for log in trial.dir.glob("wandb/*/run-*.wandb") for record in WandbLog(log).read()]
        paths = [entry.local_path for record in records for entry in _entries(record)]
        assert paths
        assert all(path.startswith(str(trial.dir)) and Path(path).exists() for path in paths)


USES = """
import os, wandb
run = wandb.init()
value = str(run.config["lr"])
os.makedirs("used", exist_ok=True)
if run.config["lr"] < 2:
    open("used/w.pt", "w").write("weights " + value)
    art = wandb.Artifact("shared-weights", type="model", metadata={"epoch": 3})
    art.add_dir("used", name="deep")
    run.log_artifact(art, aliases=["first"] if run.config["lr"] == 0 else [])
else:
    for name in ("latest", "v0", "first", "v1"):
        art = run.use_artifact(f"shared-weights:{name}", type="model")
        print(name, "IS", open(os.path.join(art.download(), "deep", "w.pt")).read(), art.metadata)
    print("FILE", open(run.use_model(f"{run.project}/shared-weights:v0")).read())
    assert run.use_artifact("shared-weights") is run.use_artifact("p/shared-weights:v1")
    open(os.path.join(art.download(), "deep", "mine.txt"), "w").close()
    for name, given in (("shared-weights:v2", None), ("other/shared-weights:v0", None), ("shared-weights:v0", "data")):
        try:
            run.use_artifact(name, type=given)
        except (TypeError, ValueError) as error:
            print("REFUSED", error)
"""


def test_artifacts_of_other_trials_of_the_sweep_are_used_offline(shared):
    """By version in the order of logging, alias or `latest`; a copy of its own, and none that nobody has logged."""
    script = shared.script(USES)
    trials = [shared.run(script, wandb=a_wandb_run(n), trial=n, config={"lr": float(n - 20)}) for n in (20, 21, 22)]
    user = trials[-1]
    assert user.ended().cause is Cause.FINISHED, user.log
    for name, value in (("latest", 1.0), ("v0", 0.0), ("first", 0.0), ("v1", 1.0)):
        assert f"{name} IS weights {value} {{'epoch': 3}}" in user.log
    assert "FILE weights 0.0" in user.log
    assert user.log.count("REFUSED Cannot use artifact when in offline mode.") == 2
    assert user.log.count("no trial of this sweep that is seen from here has logged it") == 2
    assert "REFUSED Supplied type data does not match type model" in user.log
    assert (user.dir / "used-artifacts" / "0021" / "shared-weights:v0" / "deep" / "mine.txt").exists()
    assert not list(trials[1].dir.glob("artifacts/*/deep/mine.txt"))


def _entries(record):
    if record.WhichOneof("record_type") == "artifact":
        return record.artifact.manifest.contents
    return []


CLAIMS = """
import os, pickle, sys, time
import joblib, numpy, torch, wandb
run = wandb.init()
def write(name):
    torch.save({"lr": run.config["lr"]}, name)
here = os.environ["SWEEP_CHECKPOINT_DIR"]
os.makedirs(here, exist_ok=True)
write(os.path.join(here, "own.pt"))
write(f"only-{run.config['lr']}.pt")
for name in ("shared.pt", "shared.pt"):
    write(name)
numpy.save("shared.npy", [1])
numpy.savez("shared", a=[1])
with open("shared.pkl", "wb") as file:
    pickle.dump(run.config["lr"], file)
joblib.dump(1, "shared.joblib")
with open("new.pth", "wb") as file:
    pass
os.replace("new.pth", "shared.pth") if run.config["lr"] else open("shared.pth", "wb").close()
with open("notes.csv", "a") as file:
    file.write("a line")
wandb.save("shared.pt")
wandb.save("claims.py")
open("shared.pkl", "rb").close()
open(f"up-{run.config['lr']}", "w").close()
while not os.path.exists("gate"):
    time.sleep(0.02)
"""


@pytest.fixture
def two(bench):
    script = bench.script(CLAIMS, "claims.py")
    first = bench.start(script, wandb=a_wandb_run(0), trial=0, config={"lr": 0.0})
    bench.until((bench.dir / "up-0.0").exists, first)
    return bench, script, first


def test_two_running_trials_that_write_one_path_are_told_so(two):
    """The second is told once, with both trials, the path and the cure; own directories, code and other paths are no matter."""
    bench, script, first = two
    second = bench.start(script, wandb=a_wandb_run(1), trial=1, config={"lr": 1.0})
    bench.until((bench.dir / "up-1.0").exists, second)
    (bench.dir / "gate").touch()
    assert first.ended().cause is second.ended().cause is Cause.FINISHED
    names = ["shared.pt", "shared.npy", "shared.npz", "shared.pkl", "shared.joblib", "shared.pth", "new.pth"]
    told = [line for line in second.log.splitlines() if line.startswith("sweep: warning: trials")]
    for name in names:
        shared = os.path.realpath(bench.dir / name)
        (line,) = [line for line in told if repr(shared) in line]
        assert line.startswith(f"sweep: warning: trials 0 and 1 run now and both write '{shared}'")
    assert len(told) == len(names)
    assert "$SWEEP_CHECKPOINT_DIR, or orchestrator.checkpoint_dir()" in second.log
    assert "both write" not in first.log
    assert (bench.dir / "shared-paths.jsonl").read_text().count("\n") == len(names)
    assert not list((bench.dir / ".claims").iterdir())


def test_a_trial_that_is_gone_claims_nothing(two):
    """After SIGKILL the path is free: no warning."""
    bench, script, first = two
    os.kill(first.started().pid, signal.SIGKILL)
    first.ended()
    (bench.dir / "gate").touch()
    second = bench.run(script, wandb=a_wandb_run(1), trial=1, config={"lr": 1.0})
    assert second.ended().cause is Cause.FINISHED, second.log
    assert "both write" not in second.log


SHARES = """
import os, sys, time, wandb
run = wandb.init()
def write(text):
    with open("same.pt", "w") as file:
        file.write(text)
def until(name):
    while not os.path.exists(name):
        time.sleep(0.02)
if run.config["lr"] == 0.0:
    write("mine")
    run.save("same.pt")
    write("mine, later")
    run.log({"loss": 1})
    open("first-is-up", "w").close()
    until("second-is-up")
else:
    until("first-is-up")
    write("the other's")
    if "--save" in sys.argv:
        run.save("same.pt")
    open("second-is-up", "w").close()
"""


@pytest.mark.parametrize("saves", [(), ("--save",)])
def test_what_another_trial_wrote_is_not_taken_for_ones_own(bench, saves):
    """Two trials write one path at once: the first keeps what it wrote itself, not what the second wrote there."""
    script = bench.script(SHARES, "shares.py")
    first = bench.start(script, wandb=a_wandb_run(0), trial=0, config={"lr": 0.0})
    second = bench.start(script, *saves, wandb=a_wandb_run(1), trial=1, config={"lr": 1.0})
    assert first.ended().cause is second.ended().cause is Cause.FINISHED
    (kept,) = first.dir.glob("wandb/offline-run-*/files/same.pt")
    assert kept.read_text() == "mine, later"
