import time

import pytest

from orchestrator.arguments.starting_call import starting_call
from orchestrator.trial.contract.events import Cause
from tests.scripts import run
from tests.trial.conftest import a_wandb_run

TRAIN = """
import wandb
def main():
    run = wandb.init()
    run.log({"loss": run.config["lr"]})
"""

SWEEP = """wandb.sweep({"method": "random", "parameters": {"lr": {"values": [1.0]}}}, project="p")"""


@pytest.mark.parametrize(
    ("end", "found"),
    [
        (f"sweep_id = {SWEEP}\nwandb.agent(sweep_id, main, count=2)", ("wandb.sweep", 6)),
        (f"if __name__ == '__main__':\n    wandb.login()\n    i = {SWEEP}\n", ("wandb.sweep", 8)),
        ("wandb.agent('e/p/abc', function=main)", ("wandb.agent", 6)),
        ("with open('x') as f:\n    wandb.agent('abc', main)", ("wandb.agent", 7)),
        ("import wandb as wb\nwb.controller('abc').run()", ("wandb.controller", 7)),
        ("from wandb import agent as go\ngo('abc', main)", ("wandb.agent", 7)),
        ("from orchestrator import sweep\nsweep({})", ("wandb.sweep", 7)),
        ("import os\nif not os.environ.get('WANDB_SWEEP_ID'):\n    wandb.agent('abc', main)\nelse:\n    main()", None),
        ("def tune():\n    wandb.agent('abc', main)\nmain()", None),
        ("class Other:\n    def sweep(self): ...\nOther().sweep()\nmain()", None),
        ("print('wandb.sweep(1)')", None),
        ("this is no Python", None),
        ("x = " + "(" * 5000, None),
    ],
)
def test_a_call_that_always_starts_a_sweep_is_seen_in_the_source(end, found):
    """At the top or under the main guard, by any name; not where a condition or a function may keep it from running."""
    assert starting_call(TRAIN + end) == found


def test_a_trial_that_starts_a_sweep_fails_at_once_and_says_how_to_run_it(shared):
    """However the call is reached: the cause names it, the log has both ways, and nothing is asked of a server."""
    script = shared.script(TRAIN + f"def tune():\n    wandb.agent({SWEEP}, main)\ntune()\n", "nested.py")
    began = time.monotonic()
    trial = shared.run(script, wandb=a_wandb_run(0), trial=0, config={"lr": 0.5})
    ended = trial.ended()
    assert (ended.cause, time.monotonic() - began < 60) == (Cause.FAILED, True)
    assert "NestedSweepError: wandb.sweep() was called inside of a trial" in ended.error
    assert "change its `import wandb` to `from orchestrator import wandb`" in trial.log
    assert "API key" not in trial.log
    agents = shared.script(TRAIN + "from wandb.agents.pyagent import pyagent\npyagent('a/b/c', main)\n", "agent.py")
    assert "NestedSweepError" in shared.run(agents, wandb=a_wandb_run(1), trial=1).ended().error


def test_the_commands_see_it_before_anything_runs(tmp_path):
    """`run`, `try` and `check` refuse with the line and the cure."""
    (tmp_path / "train.py").write_text(TRAIN + f"if __name__ == '__main__':\n    wandb.agent({SWEEP}, main)\n")
    (tmp_path / "s.yaml").write_text("{program: train.py, method: grid, parameters: {lr: {values: [1.0]}}}")
    for command in ("run", "try"):
        refused = run("sweep", command, "s.yaml", cwd=tmp_path, expect=2)
        assert "train.py, line 7: wandb.agent() would be called inside of a trial" in refused.stderr
        assert "by itself: `python train.py`" in refused.stderr
    assert not (tmp_path / "runs").exists()
    checked = run("sweep", "check", "s.yaml", cwd=tmp_path, expect=2).stdout
    assert "program: train.py, line 7: wandb.agent() would be called inside of a trial" in checked
    assert "To run the sweep that the script defines" in checked
    assert "\\n" not in checked
