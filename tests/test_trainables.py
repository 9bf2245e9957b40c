"""Every program in trainables/ runs alone, without a sweep around it, and does not know this package unless that is its point."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.scripts import environment

FOLDER = Path(__file__).parents[1] / "trainables"

ALONE = {
    # program: how it is started, and the config that `wandb agent` would give it to make it short
    "digits_tensorboard": (["digits_tensorboard.py", "--epochs", "1"], {}),
    "digits_wandb": (["digits_wandb.py"], {"epochs": 1}),
    "digits_function": (["digits_function.py"], {}),
    "digits_tune": (["digits_tune.py"], {}),
    "tabular": (["tabular.py"], {"max_iter": 5}),
    "gpt_char": (["gpt_char.py"], {"epochs": 2, "steps": 2}),
    "ddp": (["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "ddp.py", "--epochs=1"], {}),
}
OURS = {"digits_function"}  # its point is our API


def test_every_trainable_is_here():
    """A new program runs alone too. `digits.py` is what the digits programs share."""
    assert {path.stem for path in FOLDER.glob("*.py")} == {*ALONE, "digits"}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_a_trainable_is_what_its_user_would_have_written(path):
    """It imports nothing of this package, and the name of the file is all that a sweep needs to know."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert ("orchestrator" in names) == (path.stem in OURS)
    assert ast.get_docstring(tree)


@pytest.mark.ray
@pytest.mark.parametrize(
    "names",
    [
        ("tabular",),
        pytest.param(("digits_tensorboard",), marks=pytest.mark.soak),
        pytest.param(("digits_tune", "digits_wandb"), marks=pytest.mark.soak),
        pytest.param(("gpt_char", "ddp"), marks=pytest.mark.soak),
    ],
)
def test_a_trainable_runs_alone(names, tmp_path):
    """With python (or torchrun) and nothing else, two at a time: exit code 0, and it says what it found."""
    started = [start(name, tmp_path / name) for name in names]
    for name, process in zip(names, started, strict=True):
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, f"{name}\n{out}\n{err}"
        assert "accura" in out or "bits per character" in out


@pytest.mark.ray
@pytest.mark.soak
def test_the_function_is_a_whole_sweep(tmp_path, ray_head):
    """The script that uses the Python API creates a sweep of four trials and shows the best one."""
    process = start("digits_function", tmp_path / "here", RAY_ADDRESS=ray_head, RAY_AUTH_MODE="disabled")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, f"{out}\n{err}"
    assert "4 trials (4 finished)" in err
    assert "best valid_accuracy" in err


def start(name, cwd, **environ):
    words, config = ALONE[name]
    cwd.mkdir()
    words = [str(FOLDER / word) if word.endswith(".py") else word for word in words]
    if config:
        (cwd / "config.yaml").write_text(yaml.safe_dump({key: {"value": value} for key, value in config.items()}))
        environ["WANDB_SWEEP_PARAM_PATH"] = str(cwd / "config.yaml")
    environ |= {"WANDB_MODE": "offline", "WANDB_DIR": str(cwd)}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, *words], cwd=cwd, env=environment(**environ), text=True, **pipes)
