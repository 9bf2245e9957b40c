"""`sweep board` on a real sweep: what TensorBoard answers, and what a person sees in a browser."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from orchestrator.trial.formats.eventfile import EventFile

SWEEP = Path(sys.executable).parent / "sweep"

PROGRAM = """
import argparse, math, os, orchestrator
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--act")
parser.add_argument("--depth", type=int)
parser.add_argument("--note")
args = parser.parse_args()
for step in range(3):
    orchestrator.report({"loss": args.lr / (step + 1), "train/loss": 0.5, "nan": math.nan}, step=step)
if args.depth == 2 and args.act == "relu":
    raise ValueError("planted")
if args.depth == 2 and args.act == "gelu":
    os.kill(os.getpid(), 9)
"""

SPEC = """
program: train.py
method: grid
metric: {name: loss, goal: minimize}
parameters:
  act: {values: [relu, gelu]}
  depth: {values: [1, 2]}
  lr: {values: [0.1, 0.2]}
  note: {value: null}
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """TensorBoard on a finished sweep of eight trials, two of which failed and two of which were killed."""
    folder = tmp_path_factory.mktemp("board")
    (folder / "train.py").write_text(PROGRAM)
    (folder / "spec.yaml").write_text(SPEC)
    subprocess.run([SWEEP, "run", "spec.yaml", "--num-cpus", "2"], cwd=folder, check=True, timeout=200)
    command = [SWEEP, "board", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as board:
        try:
            line = next(line for line in board.stderr if "TensorBoard shows" in line)
            yield line.split()[-1]
        finally:
            for _ in range(2):  # whoever is in a hurry presses twice
                board.send_signal(signal.SIGINT)
                time.sleep(0.01)
            assert board.wait(timeout=60) == 0


def ask(url, what, **query):
    request = urllib.request.Request(
        f"{url}data/plugin/hparams/{what}",
        data=json.dumps({"experimentName": "", **query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.ray
def test_the_hparams_page_is_told_of_every_trial_hyperparameter_and_metric(url):
    """All sessions, with all values, none of them None, and how each ended; the metrics of the programs beside the objective."""
    statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    experiment = ask(url, "experiment")
    assert [m["name"]["tag"] for m in experiment["metricInfos"]] == ["objective/loss", "loss", "nan", "train/loss"]
    assert experiment["metricInfos"][0]["displayName"] == "loss (best)"
    assert {h["name"] for h in experiment["hparamInfos"]} == {"act", "depth", "lr", "note"}
    groups = ask(url, "session_groups", allowedStatuses=statuses, colParams=[], startIndex=0, sliceSize=100)
    found = {g["name"].rpartition("/")[2]: g for g in groups["sessionGroups"]}
    assert sorted(found) == [f"{number:04d}" for number in range(8)]
    assert all(None not in g["hparams"].values() and len(g["hparams"]) == 4 for g in found.values())
    values = {value["name"]["tag"]: value["value"] for value in found["0000"]["metricValues"]}
    assert values["objective/loss"] == values["loss"] == pytest.approx(0.1 / 3)
    assert found["0000"]["hparams"] == {"act": "relu", "depth": 1.0, "lr": 0.1, "note": "None"}
    ends = {number: g["sessions"][0]["status"] for number, g in found.items()}
    assert [ends[f"{n:04d}"] for n in range(8)] == [*["STATUS_SUCCESS"] * 2, *["STATUS_FAILURE"] * 2] * 2


@pytest.mark.ray
@pytest.mark.browser
def test_the_table_and_the_curves_are_there_in_a_browser(url, browser):
    """The HParams table lists every trial with its values, and the Scalars page draws a curve of each."""
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{url}#hparams")
    for number in range(8):
        page.get_by_text(f"/{number:04d}").first.wait_for(timeout=60_000)
    page.goto(f"{url}#timeseries")
    page.locator("scalar-card").nth(1).wait_for(timeout=60_000)
    page.locator("scalar-card line-chart canvas, scalar-card line-chart svg").first.wait_for(timeout=60_000)
    assert errors == []
    page.close()


def test_a_port_that_is_taken_is_said_with_what_to_do(tmp_path):
    """No traceback, exit code 2."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        (tmp_path / "sweep-runs").mkdir()
        command = [SWEEP, "board", "--all", "--port", port]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr == f"error: port {port} is taken on this machine. Choose another with --port, or leave it out.\n"


def test_a_directory_from_elsewhere_stalls_nothing_and_shows_its_own_files(tmp_path):
    """Pipes, devices and links out under names of event files are named and left out, also later ones."""
    runs, outside = tmp_path / "sweep-runs", tmp_path / "outside"
    trials = [runs / "s-00000000" / "trials" / f"{number:04d}" for number in range(4)]
    for directory in [*trials, outside]:
        directory.mkdir(parents=True)
    name = "events.out.tfevents.1790000000.host.1.0"
    for directory in (trials[0], outside):
        file = EventFile(directory, name)
        file.scalars({"loss": 0.5}, 0)
        file.close()
    os.mkfifo(trials[0] / "events.out.tfevents.1.a")  # before the real one: TensorBoard would open it first
    os.mkfifo(trials[1] / name)
    (trials[2] / name).symlink_to("/dev/zero")
    (trials[3] / name).symlink_to(outside / name)
    (trials[3] / "linked").symlink_to(outside)
    with subprocess.Popen(
        [SWEEP, "board", "--all", "--port", "0"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as board:
        try:
            lines = []
            while not lines or "TensorBoard shows" not in lines[-1]:
                lines.append(board.stderr.readline())
                assert lines[-1], lines
            url = lines.pop().split()[-1]
            out = "leads out of sweep-runs, by a link"
            assert sorted(line.removeprefix("warning: left out: sweep-runs/s-00000000/trials/") for line in lines) == [
                "0000/events.out.tfevents.1.a is a named pipe, not a file\n",
                f"0001/{name} is a named pipe, not a file\n",
                f"0002/{name} is a device, not a file\n",
                f"0003/{name} {out}\n",
                f"0003/linked {out}\n",
            ]
            assert await_runs(url, 1) == ["s-00000000/trials/0000"]
            later = runs / "s-00000000" / "trials" / "0004"
            later.mkdir()
            os.mkfifo(later / "events.out.tfevents.1.a")
            EventFile(later, name).close()
            assert await_runs(url, 2) == ["s-00000000/trials/0000", "s-00000000/trials/0004"]
        finally:
            board.send_signal(signal.SIGINT)
            assert board.wait(timeout=60) == 0


def await_runs(url, count):
    """Return the names of TensorBoard's runs once it has as many."""
    deadline = time.monotonic() + 60
    while True:
        with urllib.request.urlopen(f"{url}data/runs", timeout=60) as answer:
            names = sorted(json.load(answer))
        if len(names) >= count:
            return names
        assert time.monotonic() < deadline, names
        time.sleep(0.1)


TUTORIAL = """
import sys, numpy as np, torch
from torch.utils.tensorboard import SummaryWriter
lr = float(sys.argv[1].split("=")[1])
writer = SummaryWriter("runs/fashion_mnist_experiment_1")
model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
writer.add_graph(model, torch.zeros(1, 4))
writer.add_image("four_fashion_mnist_images", np.zeros((3, 8, 8), dtype=np.uint8))
writer.add_embedding(torch.rand(6, 4), metadata=list("abcdef"), label_img=torch.rand(6, 1, 8, 8))
writer.add_mesh("mesh", torch.rand(1, 4, 3))
writer.add_custom_scalars({"both": {"loss": ["Multiline", ["training loss", "valid"]]}})
for step in range(4):
    writer.add_scalar("training loss", lr * (4 - step), step)
    writer.add_scalar("valid", lr, step)
writer.add_pr_curve("shirt", np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.4, 0.3]), global_step=0)
writer.add_hparams({"lr": lr}, {"hparam/accuracy": lr})
writer.close()
"""

TUTORIAL_SPEC = """
program: tutorial.py
method: grid
metric: {name: training loss, goal: minimize}
parameters: {lr: {values: [0.1, 0.2]}}
orchestrator: {wandb: "off"}
"""


PAGES = ("timeseries", "scalars", "images", "graphs", "pr_curves", "projector", "mesh", "custom_scalars")


def shows(url, plugin) -> bool:
    """Whether TensorBoard has something to show on a page."""
    with urllib.request.urlopen(f"{url}data/plugins_listing", timeout=60) as answer:
        return json.load(answer)[plugin]["enabled"]


@pytest.mark.ray
@pytest.mark.browser
@pytest.mark.parametrize(
    "visited", [("graphs", "projector"), pytest.param(PAGES, marks=pytest.mark.soak)], ids=["two pages", "every page"]
)
def test_what_pytorchs_tutorial_writes_opens_in_a_browser(tmp_path, browser, visited):
    """One HParams row a trial with its objective, and every page that the tutorial shows has something to show."""
    (tmp_path / "tutorial.py").write_text(TUTORIAL)
    (tmp_path / "spec.yaml").write_text(TUTORIAL_SPEC)
    subprocess.run([SWEEP, "run", "spec.yaml", "--num-cpus", "2"], cwd=tmp_path, check=True, timeout=200)
    with subprocess.Popen([SWEEP, "board", "--port", "0"], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as board:
        try:
            url = next(line for line in board.stderr if "TensorBoard shows" in line).split()[-1]
            query = {"allowedStatuses": ["STATUS_SUCCESS"], "colParams": [], "startIndex": 0, "sliceSize": 100}
            groups = ask(url, "session_groups", **query)["sessionGroups"]
            assert sorted(group["name"].rpartition("/")[2] for group in groups) == ["0000", "0001"]
            values = [{v["name"]["tag"]: round(v["value"], 4) for v in group["metricValues"]} for group in groups]
            assert sorted(value["training loss"] for value in values) == [0.1, 0.2]
            assert sorted(value["hparam/accuracy"] for value in values) == [0.1, 0.2]
            deadline = time.monotonic() + 60
            while missing := [
                page for page in PAGES if not shows(url, page)
            ]:  # the projector looks in a thread of its own
                assert time.monotonic() < deadline, missing
                time.sleep(0.2)
            errors = []
            page = browser.new_page(viewport={"width": 1600, "height": 1000})
            page.on("pageerror", lambda error: errors.append(str(error)))
            for plugin in visited:
                page.goto(f"{url}?{plugin}#{plugin}")  # another address, or only the part behind # would change
                page.wait_for_load_state("networkidle")
                assert page.get_by_text(re.compile("No dashboards are active|data was found")).count() == 0, plugin
            page.close()
            assert errors == []
        finally:
            board.send_signal(signal.SIGINT)
            board.wait(timeout=60)
