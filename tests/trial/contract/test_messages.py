import json

import pytest

from orchestrator.trial.contract import messages
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind, WandbRun
from orchestrator.trial.contract.messages import (
    Begun,
    Finish,
    Importing,
    Over,
    Ready,
    Start,
    Stopping,
    Warm,
    news_of,
    order_of,
)

RUN = WandbRun(mode="offline", project="p", run_id="r", name="n", group="g", tags=("a", "b"))
PROGRAM = Program(kind=ProgramKind.MODULE, target="train", interpreter_args=("-u",), args=("--lr", "0.1"))
LAUNCH = Launch(
    sweep_id="k3x9w2ab",
    sweep_name="digits",
    trial=3,
    attempt=1,
    trial_dir="/runs/3",
    cwd="/work",
    program=PROGRAM,
    argv=("python", "-m", "train"),
    config={"lr": 0.1, "opt": {"name": "adam"}, "layers": [1, 2]},
    wandb=RUN,
    gpu_ids=("0", "1"),
    preload=("torch",),
)


@pytest.mark.parametrize(
    "order",
    [
        Warm(launch=LAUNCH, bare=False),
        Start(launch=LAUNCH, cold=False),
        Stopping(pid=7),
        Finish(dir="/runs/3", succeeded=True, run_id=None, exit_code=0),
    ],
)
def test_an_order_comes_as_it_was_sent(order):
    """Every kind, with the launch in it, through a line of JSON whose `op` a person can read."""
    line = json.loads(order.encode())
    assert line["op"] == order.OP
    assert order_of(line) == order


@pytest.mark.parametrize(
    "news",
    [
        Importing(modules=("torch", "numpy")),
        Ready(failed={"torch": "ImportError: no torch"}, unsafe=None),
        Begun(trial=3, attempt=1, pid=7, time=1.5, unsafe="CUDA"),
        Over(trial=3, attempt=1, pid=7, code=-9, core_lost=True, time=2.5),
    ],
)
def test_news_come_as_they_were_sent(news):
    """Every kind, one line each."""
    assert news.encode().count(b"\n") == 1
    assert news_of(json.loads(news.encode())) == news


def test_every_kind_is_known_by_a_word_of_its_own():
    """Two kinds with one `OP` would be one."""
    assert list(messages._ORDERS) == ["warm", "start", "stopping", "finish"]
    assert list(messages._NEWS) == ["importing", "ready", "begun", "over"]
