"""`sweep init`: whatever reads a script's arguments, what is written passes `sweep check`."""

import sys

import pytest

from orchestrator.cli.first_spec import likely_metric
from orchestrator.errors import SweepError
from orchestrator.spec import load_file
from tests.arguments import test_against_spec as scripts
from tests.cli.shell import called

FIRE = """
import fire
def main(lr=0.01, hidden_size: int = 64, data_dir="x"):
    pass
if __name__ == "__main__":
    fire.Fire(main)
"""
ABSL = """
from absl import app, flags
flags.DEFINE_float("learning_rate", 0.01, "")
flags.DEFINE_enum("optimizer", "adam", ["adam", "sgd"], "")
def main(_):
    pass
app.run(main)
"""
HF = """
from dataclasses import dataclass, field
from transformers import HfArgumentParser
@dataclass
class Args:
    learning_rate: float = field(default=5e-5, metadata={"help": "h"})
    dropout: float = 0.1
    path: str = "x"
args = HfArgumentParser(Args).parse_args_into_dataclasses()
"""
CONFIG = """
import wandb
DEFAULTS = {"lr": 0.1, "epochs": 3}
with wandb.init(config=DEFAULTS) as run:
    config = run.config
    width = config.hidden_units
    drop = wandb.config["dropout"]
    bs = config.get("batch_size", 32)
"""
LIGHTNING = """
from lightning.pytorch.cli import LightningCLI
class Model:
    def __init__(self, lr: float = 0.1, layers: int = 3):
        pass
LightningCLI(Model)
"""
LOOSE = """
import argparse
p = argparse.ArgumentParser()
p.add_argument("data")
p.add_argument("--lr", type=float, default=1e-3)
p.add_argument("--out", required=True)
args, rest = p.parse_known_args()
"""
TYPER = """
import typer
from typing import Annotated
def main(lr: float = 0.1, batch_size: Annotated[int, typer.Option(help="n")] = 32, momentum: float = typer.Option(0.9)):
    pass
if __name__ == "__main__":
    typer.run(main)
"""


@pytest.fixture
def init(tmp_path, monkeypatch):
    """Return `init(source, *words)`: what is written for a script, read as a spec, and its text."""
    monkeypatch.chdir(tmp_path)

    def run(source, *words):
        (tmp_path / "train.py").write_text(source, encoding="utf-8")
        text = called("init", "train.py", "-o", "-", *(words or ("--try", 0)))
        (tmp_path / "sweep.yaml").write_text(text, encoding="utf-8")
        return load_file(tmp_path / "sweep.yaml").require(), text

    return run


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (scripts.ARGPARSE, {"lr", "layers", "opt", "weight-decay", "width"}),
        (scripts.CLICK, {"lr", "layers", "opt", "data-dir"}),
        (TYPER, {"lr", "batch-size", "momentum"}),
        (FIRE, {"lr", "hidden_size"}),
        (ABSL, {"learning_rate", "optimizer"}),
        (HF, {"learning_rate", "dropout"}),
        (CONFIG, {"lr", "hidden_units", "dropout", "batch_size"}),
        (LIGHTNING, {"model.lr", "model.layers"}),
        (LOOSE, {"lr", "out"}),
    ],
    ids=["argparse", "click", "typer", "fire", "absl", "dataclasses", "wandb.config", "lightning", "unsure"],
)
def test_every_librarys_arguments_become_a_spec_that_passes_check(init, source, names):
    """What is worth tuning is in it, and what the script needs."""
    spec, _ = init(source)
    assert set(spec.parameters) == names
    assert "error" not in called("check", "sweep.yaml")


def test_hydras_config_gives_names_and_defaults(init, tmp_path):
    """Its parameters are passed as Hydra takes them."""
    (tmp_path / "conf.yaml").write_text("optim: {lr: 0.02, name: adam}\nseed: 1\n", encoding="utf-8")
    spec, text = init(
        'import hydra\n@hydra.main(config_path=".", config_name="conf")\ndef main(cfg):\n    pass\nmain()\n'
    )
    assert (set(spec.parameters), spec.command[-1]) == ({"optim.lr"}, "${args_no_hyphens}")
    assert "# default 0.02" in text
    assert called("check", "sweep.yaml")


def test_the_metric_is_found_by_running_the_script_at_its_defaults(init, tmp_path):
    """Once, and without leaving anything; what it printed stays away from the spec."""
    source = (
        "import argparse, orchestrator\np = argparse.ArgumentParser()\np.add_argument('--lr', type=float, default=0.5)\n"
        "lr = p.parse_args().lr\nprint('noise')\nopen('seen', 'a').write(f'{lr} ')\n"
        "for step in range(8):\n    orchestrator.report({'train_loss': lr, 'val_acc': 1 - lr, 'epoch': step})\n"
    )
    spec, text = init(source, "--python", sys.executable)
    assert (spec.metric.name, str(spec.metric.goal), str(spec.method)) == ("val_acc", "maximize", "bayes")
    assert "it also reports train_loss" in text
    assert "early_terminate" in text
    assert (tmp_path / "seen").read_text() == "0.5 "
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seen", "sweep.yaml", "train.py"]


def test_a_space_in_python_is_taken_as_it_is(init, tmp_path, monkeypatch):
    """From a module beside the script; the object may be anywhere in it."""
    (tmp_path / "spaces_of_mine.py").write_text(
        'class S:\n    space = {"lr": {"min": 0.1, "max": 1.0}}\n', encoding="utf-8"
    )
    spec, _ = init("print()", "--from", "spaces_of_mine:S.space", "--metric", "+acc")
    assert (list(spec.parameters), spec.metric.name, str(spec.metric.goal)) == (["lr"], "acc", "maximize")
    monkeypatch.delitem(sys.modules, "spaces_of_mine")
    (tmp_path / "leaves.py").write_text("import sys; sys.exit(3)")
    (tmp_path / "endless.py").write_text("space = {}; space['a'] = space")
    with pytest.raises(SweepError, match="cannot be imported here: SystemExit: 3"):
        init("print()", "--from", "leaves:x")
    with pytest.raises(SweepError, match="it holds itself"):
        init("print()", "--from", "endless:space")
    with pytest.raises(SweepError, match="--from spaces_of_mine:T: it cannot be imported here: AttributeError"):
        init("print()", "--from", "spaces_of_mine:T")


@pytest.mark.parametrize(
    ("source", "words", "said"),
    [
        ("print(1)", ["train.py"], "no arguments can be read from its source"),
        (
            "import argparse\np = argparse.ArgumentParser()\np.add_argument('--seed', type=int, default=1)\np.parse_args()",
            ["train.py"],
            "none of its arguments looks like one to tune: seed",
        ),
        (FIRE, ["other.py"], "other.py: there is no such file"),
        (FIRE, ["train.py", "-o", "train.py"], "train.py is there already.\n  Write elsewhere"),
        (FIRE, ["train.py", "--from", "x"], "write MODULE:OBJECT"),
    ],
)
def test_what_cannot_be_written_says_why(tmp_path, monkeypatch, source, words, said):
    """And nothing is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(source, encoding="utf-8")
    with pytest.raises(SweepError) as caught:
        called("init", "--try", 0, *words)
    assert said in str(caught.value)
    assert not (tmp_path / "sweep.yaml").exists()


@pytest.mark.parametrize(
    ("names", "metric", "goal", "sure"),
    [
        (["train/loss", "val/loss", "epoch"], "val/loss", "minimize", True),
        (["loss", "eval_accuracy", "eval_loss"], "eval_accuracy", "maximize", True),
        (["step", "mystery"], "mystery", "minimize", False),
        (["episode_reward", "lr"], "episode_reward", "maximize", True),
    ],
)
def test_the_likely_metric_is_held_out_and_of_a_known_direction(names, metric, goal, sure):
    """Validation before training, accuracies before losses; a name that says nothing is asked about."""
    found = likely_metric(names)
    assert (found.name, found.goal, found.sure) == (metric, goal, sure)
