"""W&B's names around a sweep, as tutorials use them: without a login, without a server."""

import ast
import importlib.util
import json
from pathlib import Path

import pytest
import wandb as theirs

from orchestrator import wandb as ours
from tests.scripts import run_script
from tests.upload.conftest import IMPATIENT
from tests.wandb_server import API_KEY, WandbServer

QUIET = """
import sys
from orchestrator import wandb
print("LOGIN", wandb.login(), wandb.login(relogin=True), wandb.login(timeout=1, force=True))
wandb.setup()
print("ENTITY", wandb.Api().default_entity)
run = wandb.init(project="data", job_type="upload")
run.log({"n": 1})
wandb.finish()
wandb.teardown()
print("MODE", run.settings.mode, wandb.run, wandb.Image.__module__)
try:
    wandb.Api().runs("a/b")
except wandb.errors.UsageError as error:
    print("RUNS", error)
try:
    wandb.controller("abc").run()
except Exception as error:
    print("CONTROLLER", error)
"""


def alone(tmp_path, text, **options):
    """Run a script where nobody has ever logged in."""
    home = {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc")}
    return run_script(tmp_path / "go.py", text, **(home | options))


def test_nothing_fails_for_want_of_a_login(tmp_path):
    """Login, setup and init say what is so and go on; what needs the server says W&B's own words."""
    done = alone(tmp_path, QUIET)
    assert "LOGIN False False False" in done.stdout
    assert "ENTITY None" in done.stdout
    assert "MODE offline None wandb" in done.stdout
    assert "RUNS No API key configured" in done.stdout
    assert "CONTROLLER wandb.controller is not needed here" in done.stdout
    assert (
        "not logged in to W&B (No API key configured. Use `wandb login` to log in); everything is kept" in done.stderr
    )


def test_a_login_with_a_key_is_wandbs_own(tmp_path):
    """The server takes the key: True. It refuses it: W&B's error. It is not there: False, and the sweep is kept here."""
    script = f"from orchestrator import wandb\nprint('LOGIN', wandb.login(key={API_KEY!r}))"
    with WandbServer() as server:
        there = {"WANDB_BASE_URL": server.url} | IMPATIENT | {"WANDB_X_GRAPHQL_RETRY_MAX": "1"}
        assert "LOGIN True" in alone(tmp_path, script, **there).stdout
        server.fault = 401
        assert "AuthenticationError" in alone(tmp_path, script, expect=1, **there).stderr
    assert "LOGIN False" in alone(tmp_path, script, **there).stdout


def test_the_names_are_wandbs():
    """`dir` and the stubs show every name of W&B's, and those that are ours are there."""
    assert set(theirs.__all__) <= set(dir(ours))
    package = importlib.util.find_spec("orchestrator").submodule_search_locations[0]
    stub = ast.parse((Path(package) / "wandb.pyi").read_text())
    imported = {
        alias.asname or alias.name
        for node in ast.walk(stub)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(theirs.__all__) - {"__version__", "join"} <= imported  # what W&B's own stubs show
    for name in theirs.__all__:
        assert getattr(ours, name) is not None or name in {"config", "run", "summary"}


TUTORIAL = """
import json
from orchestrator import wandb

wandb.login()

def main():
    with wandb.init() as run:
        for epoch in range(4):
            run.log({"loss": run.config.lr / (epoch + 1), "acc": epoch})
        with open("model.txt", "w") as file:
            file.write(str(run.config.lr))

sweep_id = wandb.sweep(
    {"method": "grid", "metric": {"name": "loss", "goal": "minimize"}, "parameters": {"lr": {"values": [0.4, 0.2]}}},
    project="p",
)
wandb.agent(sweep_id, function=main)
api = wandb.Api()
sweep = api.sweep(f"{api.default_entity}/p/sweeps/{sweep_id}")
best = sweep.best_run()
first = sweep.runs[0]
found = {
    "best": best.config,
    "names": [run.name for run in sweep.runs],
    "states": [run.state for run in sweep.runs],
    "sweep": sweep.state,
    "summary": best.summary.get("loss"),
    "json": first.summary._json_dict["loss"],
    "order": sweep.order,
    "config": sweep.config["method"],
    "history": list(first.history()["loss"]),
    "steps": list(first.history(keys=["loss"])["_step"]),
    "few": len(first.history(samples=2, pandas=False)),
    "scan": [row["loss"] for row in first.scan_history(keys=["loss"], min_step=2)],
    "worst": sweep.best_run(order="-summary_metrics.loss").config,
    "again": api.run("/".join(best.path)).id == best.id,
    "filtered": len(api.runs("p", filters={"sweep": sweep_id})),
    "missing": None,
}
try:
    best.logged_artifacts()
except AttributeError as error:
    found["missing"] = str(error)
print("FOUND", json.dumps(found))
"""


@pytest.mark.ray
def test_a_tutorial_goes_from_login_to_best_run_without_a_server(tmp_path):
    """Best run, runs, summaries and histories of the script's own sweep come from its ledger, by W&B's names."""
    done = alone(tmp_path, TUTORIAL)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    found = json.loads(line.removeprefix("FOUND "))
    assert found.pop("missing").startswith("logged_artifacts of this run is not answered without a server")
    assert found == {
        "best": {"lr": 0.2},
        "names": ["p-0", "p-1"],
        "states": ["finished", "finished"],
        "sweep": "FINISHED",
        "summary": 0.05,
        "json": 0.1,
        "order": "+summary_metrics.loss",
        "config": "grid",
        "history": [0.4 / n for n in (1, 2, 3, 4)],
        "steps": [0, 1, 2, 3],
        "few": 2,
        "scan": [0.4 / 3, 0.1],
        "worst": {"lr": 0.4},
        "again": True,
        "filtered": 2,
    }
