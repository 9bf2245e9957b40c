"""`sweep board` on a real sweep: what TensorBoard answers, and what a person sees in a browser."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

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
    assert [m["name"]["tag"] for m in experiment["metricInfos"]] == ["loss", "nan", "train/loss"]
    assert {h["name"] for h in experiment["hparamInfos"]} == {"act", "depth", "lr", "note"}
    groups = ask(url, "session_groups", allowedStatuses=statuses, colParams=[], startIndex=0, sliceSize=100)
    found = {g["name"].rpartition("/")[2]: g for g in groups["sessionGroups"]}
    assert sorted(found) == [f"{number:04d}" for number in range(8)]
    assert all(None not in g["hparams"].values() and len(g["hparams"]) == 4 for g in found.values())
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
