"""The core alone, without what extras install: every search, a sweep from start to end, and what is refused."""

import re
import subprocess
import sys
import sysconfig
import time
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.cli.shell import SWEEP
from tests.scripts import run
from tests.waiting import until
from tests.wandb_server import WandbServer

ROOT = Path(__file__).parent.parent
EXTRA = ("torch", "pandas", "pyarrow", "optuna", "cmaes", "ax", "tensorboard", "apprise")

HIDES = f"""
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {EXTRA} else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
"""
"""A `sitecustomize` with which these libraries are not installed, as far as any Python can tell."""

SEARCHES = """
import sys
sys.path.append(sys.argv[1])
from orchestrator.search.factory import check_search, make_search
from orchestrator.spec import load_dict
from tests.search.conftest import run_sweep

PARAMETERS = {"x": {"min": 0.0, "max": 1.0}, "n": {"min": 1, "max": 9}, "c": {"values": ["a", "b"]}}
GRID = {"n": {"values": [1, 2, 3]}, "c": {"values": ["a", "b"]}, "x": {"value": 0.5}}
for method in ("grid", "random", "bayes"):
    for metrics in ({"metric": {"name": "a"}}, {"metrics": [{"name": "a"}, {"name": "b"}]}):
        parameters = GRID if method == "grid" else PARAMETERS
        spec = load_dict({"method": method, "parameters": parameters, **metrics}, needs_program=False).require()
        check_search(spec)

        def loss(config):
            scores = ((config["x"] - 0.3) ** 2 + config["n"], config["x"] + (config["c"] == "a"))
            return None if config["n"] == 9 else scores[: len(spec.objectives)]

        print(method, len(spec.objectives), len(run_sweep(spec, loss, n=12, parallel=2)))
print(sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[2:])))
"""

PROGRAM = """
import sys, wandb
lr = float(sys.argv[1].partition("=")[2])
with wandb.init() as run:
    for epoch in range(4):
        run.log({"loss": (lr - 0.3) ** 2 + 1 / (epoch + 1)})
"""

SPEC = """
program: train.py
method: bayes
metric: {name: loss, goal: minimize}
run_cap: 4
early_terminate: {type: hyperband, min_iter: 1, eta: 2}
parameters: {lr: {min: 0.0, max: 1.0}}
"""

CUSTOM = """
program: train.py
method: custom
metric: {name: loss}
parameters: {lr: {min: 0.0, max: 1.0}}
"""

REFUSED = {
    "tpe": (SPEC + "orchestrator: {sampler: tpe}\n", "tpe needs optuna: install sweep-orchestrator[optuna]"),
    "study": (
        CUSTOM + "scheduler: {engine: optuna, source: train.py, optimizer: make}\n",
        "optuna needs optuna: install sweep-orchestrator[optuna]",
    ),
    "ax": (CUSTOM + "scheduler: {engine: ax}\n", "ax needs ax: install sweep-orchestrator[ax]"),
    "many": (
        SPEC.replace(
            "metric: {name: loss, goal: minimize}", "metrics: [{name: a}, {name: b}, {name: c}, {name: d}]"
        ).replace("early_terminate", "#"),
        "with 4 metrics gp is Optuna's tpe, which needs optuna: install sweep-orchestrator[optuna]",
    ),
}

FRAME = """
import orchestrator
try:
    orchestrator.load().df
except ImportError as error:
    print(error)
print(orchestrator.load().best.number)
"""


@pytest.fixture(scope="module")
def hidden(tmp_path_factory):
    """A folder for PYTHONPATH that hides what extras install."""
    path = tmp_path_factory.mktemp("hides")
    (path / "sitecustomize.py").write_text(HIDES, encoding="utf-8")
    return str(path)


def test_every_search_of_the_core_runs_without_extras(hidden, tmp_path):
    """Grid, random and bayes, with one metric and two, with failures and trials in flight, import none of them."""
    done = run(sys.executable, "-c", SEARCHES, ROOT, *EXTRA, cwd=tmp_path, PYTHONPATH=hidden)
    expected = [f"{m} {k} {6 if m == 'grid' else 12}" for m in ("grid", "random", "bayes") for k in (1, 2)]
    assert done.stdout.splitlines() == [*expected, "[]"]


def test_a_sweep_needs_no_extra(hidden, tmp_path):
    """From `check` to `resume` with an early-terminated bayes sweep; what needs an extra names it and leaves nothing."""
    goes_all_the_way(SWEEP, sys.executable, tmp_path, PYTHONPATH=hidden)


def goes_all_the_way(sweep, python, path, **changes):
    """Run a sweep and take home what there is."""
    (path / "train.py").write_text(PROGRAM, encoding="utf-8")
    (path / "sweep.yaml").write_text(SPEC, encoding="utf-8")
    for name, (spec, _) in REFUSED.items():
        (path / f"{name}.yaml").write_text(spec, encoding="utf-8")

    def does(*words, expect=0):
        return run(sweep, *words, cwd=path, expect=expect, **changes)

    checked = does("check", *(f"{name}.yaml" for name in REFUSED), expect=2)
    for name, (_, said) in REFUSED.items():
        assert said in " ".join((checked.stdout + checked.stderr).split()), name
    does("check", "sweep.yaml")
    does("run", "sweep.yaml", "--num-cpus", "2")
    does("resume", "--add", "1")
    assert "5 trials" in " ".join(does("show").stdout.split())
    assert "lr" in does("best").stdout
    does("report")
    table = does("export", "--to", "csv").stdout.splitlines()
    assert len(table) == 1 + 5
    parquet = does("export", "--to", "parquet", expect=2).stderr
    assert "--to parquet needs pyarrow: install sweep-orchestrator[export]" in parquet
    study = does("export", "--to", "optuna", expect=2).stderr
    assert "a study needs optuna: install sweep-orchestrator[optuna]" in study
    board = does("board", expect=2).stderr
    assert "sweep board needs tensorboard: install sweep-orchestrator[board]" in board
    copied = does("run", "sweep.yaml", "--storage", "s3://bucket/sweeps", expect=2).stderr
    assert "the copy at s3://bucket/sweeps needs pyarrow: install sweep-orchestrator[storage]" in copied
    (path / "urls").write_text("json://localhost", encoding="utf-8")
    told = does("notify", "sweep.yaml", "--set", "orchestrator.notify='@urls'", "--test", expect=1).stderr
    assert "@urls: cannot be told: it needs apprise: install sweep-orchestrator[notify]" in told
    assert not [*path.glob("*.parquet"), *path.glob("*.db")]
    said, best = run(python, "-c", FRAME, cwd=path, **changes).stdout.splitlines()
    assert said == "a data frame needs pandas: install sweep-orchestrator[export]"
    assert best.isdigit()


@pytest.mark.soak
def test_an_installed_core_is_small_and_complete(tmp_path):
    """What `pip install .` brings: less than 600 MB of files, compiled ones included, without any extra."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    words = ["install", "--quiet", "--constraint", ROOT / "constraints.txt", ROOT]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    took_s = []
    for _ in range(2):  # the first one fills the cache
        began_s = time.monotonic()
        subprocess.run([*pip, *words, "--force-reinstall"], check=True)
        took_s.append(time.monotonic() - began_s)
    library = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    size = sum(file.stat().st_size for file in library.rglob("*") if file.is_file())
    print(f"{size / 1e6:.0f} MB, {took_s[1]:.0f} s")
    assert size < 600e6
    assert not [name for name in EXTRA if (library / name).exists()]
    goes_all_the_way(python.parent / "sweep", python, tmp_path)


def oldest_allowed():
    """The lowest version of each direct requirement of the core, as pip names it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [Requirement(text) for text in project["dependencies"]]
    return [f"{each.name}=={s.version}" for each in requirements for s in each.specifier if s.operator == ">="]


def test_the_core_says_how_old_each_of_its_libraries_may_be():
    """What the long run installs: a requirement without a lowest version would be tried in no oldest one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert len(oldest_allowed()) == len(project["dependencies"])


@pytest.mark.soak
def test_the_oldest_libraries_that_are_allowed_run_a_sweep(tmp_path):
    """Also one that is killed and goes on, and one that a server gets; the newest are those of every other test."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    subprocess.run([*pip, "install", "--quiet", ROOT, *oldest_allowed()], check=True)
    goes_all_the_way(python.parent / "sweep", python, tmp_path)
    goes_on_after_a_kill(python.parent / "sweep", tmp_path)
    goes_up(python.parent / "sweep", tmp_path)


def goes_on_after_a_kill(sweep, path):
    """Kill a sweep in its middle, and resume it."""
    (path / "slow.py").write_text(PROGRAM.replace("import sys, wandb", "import sys, time, wandb\ntime.sleep(6)"))
    (path / "slow.yaml").write_text(SPEC.replace("train.py", "slow.py"), encoding="utf-8")
    command = [sweep, "run", "slow.yaml", "--name", "killed", "--num-cpus", "1", "--concurrency", "1"]
    process = subprocess.Popen(command, cwd=path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    until(lambda: next(path.glob("*/killed-*/ledger.sqlite"), None))
    until(lambda: re.search("[123] finished", run(sweep, "show", cwd=path).stdout))
    process.kill()
    process.communicate()
    run(sweep, "resume", cwd=path)
    assert "4 trials" in " ".join(run(sweep, "show", cwd=path).stdout.split())


def goes_up(sweep, path):
    """Run a sweep where somebody is logged in; then one whose key is refused."""
    with WandbServer() as server:
        run(sweep, "run", "sweep.yaml", "--num-cpus", "1", cwd=path, **server.environ)
        assert [found.state for found in server.sweeps.values()] == ["FINISHED"]
        assert [bool(found.history) for found in server.runs.values()] == [True] * 4
        server.fault = 401
        assert "HTTP 401" in run(sweep, "run", "sweep.yaml", "--num-cpus", "1", cwd=path, **server.environ).stderr


@pytest.mark.soak
def test_what_needs_ax_or_mlflow_works_with_them(tmp_path):
    """They bring forty packages, so that they are not in the environment of the tests: here they lie on top of it."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    library = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    (library / "below.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    subprocess.run([*pip, "install", "--quiet", "ax-platform", "mlflow-skinny"], check=True)
    files = ["tests/search/test_ax_client.py", "tests/trial/capture/test_mlflow_calls.py"]
    said = run(python, "-m", "pytest", "-rs", "-p", "no:cacheprovider", *files, cwd=ROOT).stdout
    assert "not installed" not in said
    assert re.search(r"[1-9]\d passed, 4 skipped in", said), said
