"""A Python that has nothing of ours drives the `sweep` that is installed elsewhere."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

import orchestrator
from orchestrator.api import driving
from orchestrator.errors import ClusterError, SweepError
from tests.interpreters.environments import PYENV, venv
from tests.scripts import environment, run
from tests.trial.environments.pythons import made

CLIENT = Path(__file__).parents[2] / "client"
TOOL = Path(sys.executable).parent
NEW_ENOUGH = [path.name for path in sorted(PYENV.glob("3.*")) if int(path.name.split(".")[1]) >= 9]


def kernel(place, version="3.10"):
    """An environment with the client alone."""
    python = venv(place, version)
    (packages,) = place.glob("lib/python3*/site-packages")
    shutil.copytree(CLIENT / "orchestrator", packages / "orchestrator", ignore=shutil.ignore_patterns("__pycache__"))
    return python


def drive(python, code, cwd, **changes):
    """Run code in an environment, which finds `sweep` as its user would."""
    environ = environment(SWEEP_TOOL=str(TOOL / "sweep")) | changes
    return subprocess.run(
        [python, "-c", code],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("version", NEW_ENOUGH)
def test_every_python_has_the_calls(version, tmp_path):
    """With the standard library alone, and no more of it than it needs to find the command."""
    python = PYENV / version / "bin" / "python"
    code = (
        f"import sys; sys.path.insert(0, {str(CLIENT)!r})\nfrom orchestrator import agent, load, sweep, wandb, report\n"
    )
    code += (
        "print(load.__module__, wandb.agent is agent, wandb.sweep is sweep, 'init' in dir(wandb), hasattr(wandb, '_x'))"
    )
    done = subprocess.run(
        [python, "-I", "-W", "error", "-c", code],
        env=environment(SWEEP_TOOL=str(TOOL.parent), PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("orchestrator.api.driving True True True False\n", "")


def test_the_command_is_found_or_the_search_is_told(tmp_path):
    """By its variable, on PATH, where uv puts tools; a wrong one is an error with what to do."""
    python, code = kernel(tmp_path / "v"), "import orchestrator; print(orchestrator._tool)"
    nowhere = {"PATH": "/nowhere", "HOME": str(tmp_path)}
    tool = tmp_path / "tools" / "sweep-orchestrator"
    tool.parent.mkdir()
    tool.symlink_to(TOOL.parent)
    for changes in (
        {"SWEEP_TOOL": str(TOOL / "python")},
        {"SWEEP_TOOL": ""},
        {"SWEEP_TOOL": "", **nowhere, "UV_TOOL_DIR": str(tool.parent)},
    ):
        done = drive(python, code, tmp_path, **changes)
        assert Path(done.stdout.strip()).parent == TOOL, done.stderr
    said = drive(python, code, tmp_path, SWEEP_TOOL="", **nowhere).stderr.splitlines()
    assert said[-2].startswith(
        "ImportError: orchestrator drives the `sweep` command, which was not found: it is neither"
    )
    assert "uv tool install sweep-orchestrator" in said[-1]
    for wrong, problem in ((python, "this client itself"), ("/bin/sh", "is no `sweep` command")):
        said = drive(python, code, tmp_path, SWEEP_TOOL=str(wrong)).stderr
        assert problem in said


NOTEBOOK = """
import json, os, sys, threading
import orchestrator
from orchestrator import wandb

lock = threading.Lock()

class Model:
    def __init__(self, lr):
        self.lr = lr

def train(config):
    model = Model(config["lr"])
    for step in range(3):
        orchestrator.report(score=model.lr * (step + 1), step=step)
    print("in", sys.executable)

def broken():
    raise ValueError("no such column: age")

config = {
    "method": "random",
    "metric": {"name": "score", "goal": "maximize"},
    "parameters": {"lr": {"min": 0.1, "max": 0.9}, "n": {"values": range(3)}},
}
sweep_id = wandb.sweep(config, project="digits")
wandb.agent(sweep_id, function=train, count=2)
results = orchestrator.load(sweep_id)
found = [[t.number, t.state, t.value, t.log, [dict(r.metrics) for r in t.reports()]] for t in results]
errors = []
for call in (
    lambda: orchestrator.sweep({"metric": {"name": "loss"}}),
    lambda: orchestrator.agent("nosuchid"),
    lambda: results.df,
    lambda: wandb.agent(sweep_id, lambda: lock),
    lambda: wandb.agent(sweep_id, 3),
    lambda: wandb.agent(wandb.sweep(config), broken, max_consecutive_failed_runs=1),
):
    try:
        call()
    except Exception as error:
        errors.append([type(error).__name__, str(error)])
print(json.dumps([found, results.best.number, results.state, results.config["metric"], errors]))
"""


@pytest.mark.ray
def test_a_sweep_is_made_run_and_read_from_a_python_without_ray(tmp_path, ray_head):
    """As in one that has all of ours: output, trials, results, errors; the function travels by value, and `resume` goes on."""
    python = kernel(tmp_path / "v")
    done = drive(python, NOTEBOOK, tmp_path, RAY_ADDRESS=ray_head, RAY_AUTH_MODE="disabled")
    assert done.returncode == 0, done.stderr
    found, best, state, metric, errors = json.loads(done.stdout.splitlines()[-1])
    assert "Create sweep with ID: " in done.stdout
    assert "best score" in done.stdout + done.stderr
    assert state == "finished"
    assert metric == {"name": "score", "goal": "maximize"}
    for _, trial_state, value, log, rows in found:
        assert (trial_state, log) == ("finished", f"in {python}\n")
        assert value == pytest.approx(rows[2]["score"])
    assert best == max(found, key=lambda trial: trial[2])[0]
    kinds, texts = zip(*errors, strict=True)
    assert kinds == (
        "SweepError",
        "UnknownSweepError",
        "MissingExtraError",
        "ProgramError",
        "ProgramError",
        "SweepFailedError",
    )
    assert "has no `method`" in texts[0]
    assert "Create that inside the function" in texts[3]
    assert texts[2] == f"a data frame needs pandas: `pip install pandas` in {python}"
    assert "no such column: age" in texts[5]
    first = orchestrator.load("digits", runs_dir=tmp_path / "sweep-runs")
    run("sweep", "resume", first.id, "--add", "1", cwd=tmp_path, RAY_ADDRESS=ray_head, RAY_AUTH_MODE="disabled")
    again = orchestrator.load(first.id, runs_dir=tmp_path / "sweep-runs")
    assert [trial.log for trial in again] == [f"in {python}\n"] * 3


def test_what_a_notebook_puts_into_a_spec_is_carried():
    """Tuples, ranges, NumPy's values; what is no value of a spec is an error that says where it stands."""
    import numpy as np

    given = {"a": (1, 2.5), "b": range(2), "c": np.array([1, 2]), "d": np.float64(0.5), "e": None, "f": True}
    plain = {"a": [1, 2.5], "b": [0, 1], "c": [1, 2], "d": 0.5, "e": None, "f": True}
    assert json.loads(json.dumps(driving._plain(given, "sweep config"))) == plain
    with pytest.raises(SweepError, match=r"sweep config.a\[0\]: <object .*is no value of a spec"):
        driving._plain({"a": [object()]}, "sweep config")
    with pytest.raises(SweepError, match=r"sweep config.a: 1 is no name"):
        driving._plain({"a": {1: 2}}, "sweep config")


def test_an_answer_is_a_value_an_error_or_missing(monkeypatch):
    """Errors keep their kind; one that this Python does not know is a SweepError; who was left at once was interrupted."""
    monkeypatch.setitem(vars(orchestrator), "_tool", "/tool/python")
    assert driving._said({"value": 3}, 0) == 3
    with pytest.raises(ClusterError, match="gone"):
        driving._said({"error": "ClusterError", "text": "gone"}, 0)
    with pytest.raises(SweepError, match="odd"):
        driving._said({"error": "SpecError", "text": "odd"}, 0)
    for answer, code in (({"error": "KeyboardInterrupt", "text": "stopped"}, 0), (None, 5)):
        with pytest.raises(KeyboardInterrupt):
            driving._said(answer, code)
    with pytest.raises(SweepError, match=r"\(/tool/python\) was killed by signal 9 before it answered"):
        driving._said(None, -9)


def test_the_command_ends_with_whoever_asked(tmp_path):
    """One that waits for a question that is never finished ends when the pipe closes; nothing is left."""
    read, write = os.pipe()
    command = [sys.executable, "-P", "-m", "orchestrator.api.served", str(write)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[write], stderr=subprocess.PIPE) as process:
        os.close(write)
        question = {"call": "load", "arguments": {"sweep": "x", "runs_dir": str(tmp_path)}, "notebook": False}
        process.stdin.write(json.dumps(question).encode() + b"\n")
        process.stdin.flush()
        with os.fdopen(read) as answers:
            answer = json.loads(answers.readline())
    assert answer["error"] == "UnknownSweepError"
    assert process.returncode in {0, -signal.SIGTERM}


TRAINS = """
import time
import orchestrator
from orchestrator import wandb

class Model:
    def __init__(self, lr):
        self.lr = lr

def train(config):
    model = Model(config["lr"])
    for step in range(3):
        orchestrator.report(score=model.lr * (step + 1))

def slow(config):
    orchestrator.report(score=config["lr"])
    time.sleep(600)

def logs_with_wandb():
    wandb.init()

config = {"method": "random", "metric": {"name": "score", "goal": "maximize"}, "parameters": {"lr": {"min": 0.1, "max": 0.9}}}
"""
STATES = "results = orchestrator.load('digits'); print(results.state, [trial.state for trial in results])"


class Kernel:
    """A Jupyter kernel of an environment, and what its cells show."""

    def __init__(self, python, cwd):
        self._manager = KernelManager()
        argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        self._manager._kernel_spec = KernelSpec(argv=argv, display_name="of the test", language="python")
        environ = environment(SWEEP_TOOL=str(TOOL / "sweep"), PYDEVD_DISABLE_FILE_VALIDATION="1")
        self._manager.start_kernel(cwd=str(cwd), env={**environ, "VIRTUAL_ENV": ""})
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=120)

    def run(self, code, seen="", then=None):
        """Run a cell; call `then` once, when it has shown something. Return its outputs as texts and how it failed."""
        shown, displays, error, waits = [], {}, None, [then] if then else []
        asked = self._client.execute(code)
        while True:
            message = self._client.get_iopub_msg(timeout=120)
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                shown.append(content["text"])
            elif kind in {"display_data", "update_display_data", "execute_result"}:
                place = content.get("transient", {}).get("display_id", kind)
                displays.setdefault(place, []).append(content["data"]["text/plain"])
            elif kind == "error":
                error = f"{content['ename']}: {content['evalue']}"
            if waits and seen in str(displays):
                waits.pop()()
            if (not waits and then == self.restart) or (kind, content.get("execution_state")) == ("status", "idle"):
                return "".join(shown), list(displays.values()), error

    def interrupt(self):
        self._manager.interrupt_kernel()

    def restart(self, now=False):
        self._manager.restart_kernel(now=now)
        self._client.wait_for_ready(timeout=120)

    def close(self):
        self._client.stop_channels()
        self._manager.shutdown_kernel()


@pytest.mark.ray
@pytest.mark.soak
def test_a_notebook_of_another_python_runs_stops_and_goes_on(tmp_path):
    """One output per cell without control sequences; the stop button and a restarted kernel keep all; nothing is left."""
    made_python = made("3.12", ("ipykernel", "pandas"))
    if isinstance(made_python, str):
        pytest.skip(made_python)
    python = kernel(tmp_path / "v", "3.12")
    (libraries,), (packages,) = (
        place.glob("lib/python3*/site-packages") for place in (made_python.parents[1], tmp_path / "v")
    )
    (packages / "beside.pth").write_text(f"{libraries}\n")
    notebook = Kernel(python, tmp_path)
    try:
        assert notebook.run(TRAINS)[2] is None
        said, _, _ = notebook.run("sweep_id = wandb.sweep(config, project='digits')")
        assert said.startswith("Create sweep with ID: ")
        said, (texts,), error = notebook.run("wandb.agent(sweep_id, function=train, count=2)")
        assert (said, error) == ("", None)
        assert "2/2 done" in texts[-1]
        assert "\nbest score " in texts[-1]
        assert not [text for text in texts if "\x1b" in text or "\r" in text]
        said, _, error = notebook.run(
            "print(sorted(orchestrator.load(sweep_id).df['state']), 'ray' in __import__('sys').modules)"
        )
        assert (said, error) == ("['finished', 'finished'] False\n", None)
        agent = "wandb.agent(sweep_id, function=slow, count=2)"
        _, (texts,), error = notebook.run(agent, seen="2 running", then=notebook.interrupt)
        assert error.startswith("KeyboardInterrupt: sweep ")
        assert "interrupted" in texts[-1]
        assert notebook.run(STATES)[0] == "interrupted ['finished', 'finished', 'pending', 'pending']\n"
        assert "4/4 done" in notebook.run("wandb.agent(sweep_id, function=train, count=2)")[1][0][-1]
        notebook.run(agent, seen="2 running", then=notebook.restart)
        notebook.run(TRAINS)
        again = "wandb.agent(orchestrator.load('digits').id, function=train, count=2)"
        assert "6/6 done" in notebook.run(again)[1][0][-1]
        assert notebook.run(STATES)[0] == f"finished {['finished'] * 6}\n"
        _, _, error = notebook.run("wandb.agent(wandb.sweep(config), function=logs_with_wandb, count=1)")
        assert "orchestrator.report(...) needs none, wandb.init and its like `pip install wandb` in" in error
    finally:
        notebook.close()
    assert str(tmp_path) not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
