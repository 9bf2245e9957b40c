"""Specs held against their scripts. What is said to fail is also run where the library is there: it does fail."""

import contextlib
import io
import os
import runpy
import sys

import pytest

from orchestrator.arguments.against_spec import findings
from orchestrator.cli.preview import preview
from orchestrator.spec import load_text

ARGPARSE = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1, help="how fast")
parser.add_argument("--layers", "-l", type=int, default=2)
parser.add_argument("--opt", choices=["adam", "sgd"], default="adam")
parser.add_argument("--width", type=int, choices=(32, 64))
parser.add_argument("--fp16", action="store_true")
parser.add_argument("--cache", action=argparse.BooleanOptionalAction)
parser.add_argument("--shuffle", type=bool, default=True)
parser.add_argument("--warm", type=lambda text: text == "True")
parser.add_argument("--weight-decay", type=float)
parser.add_argument("--sizes", type=int, nargs="+")
if __name__ == "__main__":
    args = parser.parse_args()
"""
NEEDS = """
import argparse
def main():
    p = argparse.ArgumentParser(allow_abbrev=False)
    p.add_argument("data")
    p.add_argument("--lr", type=float, required=True)
    p.add_argument("--momentum", type=float)
    p.parse_args()
if __name__ == "__main__":
    main()
"""
CLICK = """
import click
@click.command()
@click.option("--lr", type=float, default=0.1)
@click.option("--layers", default=2)
@click.option("--opt", type=click.Choice(["adam", "sgd"]))
@click.option("--fp16/--no-fp16")
@click.option("--data-dir", required=True)
@click.option("--debug", is_flag=True)
def main(**options):
    pass
if __name__ == "__main__":
    main()
"""
TYPER = """
from typing import Annotated, Optional
import typer
app = typer.Typer()
@app.command()
def main(lr: float = 0.1, learning_rate: Optional[float] = None, fp16: bool = False,
         layers: Annotated[int, typer.Option("--layers", "-l")] = 2, name: str = typer.Option(..., help="x")):
    pass
if __name__ == "__main__":
    app()
"""
TYPER_RUN = """
import typer
def main(data: str, lr: float = 0.1):
    pass
if __name__ == "__main__":
    typer.run(main)
"""
TYPER_CHOICES = """
from enum import Enum
from typing import Literal, Optional
import typer
class Kind(str, Enum):
    small = "s"
    large = "l"
def main(opt: Literal["adam", "sgd"] = "adam", kind: Optional[Kind] = None,
         any_case: Kind = typer.Option(Kind.small, case_sensitive=False)):
    pass
if __name__ == "__main__":
    typer.run(main)
"""
ABSL = """
from absl import app, flags
FLAGS = flags.FLAGS
flags.DEFINE_float("lr", 0.1, "x")
flags.DEFINE_integer("layers", 2, "x")
flags.DEFINE_enum("opt", "adam", ["adam", "sgd"], "x")
flags.DEFINE_bool("fp16", False, "x")
flags.DEFINE_string("data", None, "x")
flags.mark_flag_as_required("data")
def main(argv):
    pass
if __name__ == "__main__":
    app.run(main)
"""
FIRE = """
import fire
def main(data, lr=0.1, weight_decay=0.0):
    pass
if __name__ == "__main__":
    fire.Fire(main)
"""
HYDRA = """
import hydra
@hydra.main(config_path="conf", config_name="config", version_base=None)
def main(cfg):
    pass
if __name__ == "__main__":
    main()
"""
LIGHTNING = """
from enum import Enum
from typing import Literal
from lightning.pytorch.cli import LightningCLI
class Kind(Enum):
    small = "s"
    large = "l"
class Model:
    def __init__(self, lr: float = 0.1, layers: int = 2, opt: Literal["adam", "sgd"] = "adam", kind: Kind = Kind.small):
        pass
if __name__ == "__main__":
    LightningCLI(Model)
"""
HF = """
from dataclasses import dataclass, field
from enum import Enum
from typing import List, Literal, Optional
from transformers import HfArgumentParser
class Kind(Enum):
    small = "s"
    large = "l"
@dataclass
class Base:
    seed: int = 0
@dataclass
class Data(Base):
    path: str
    lr: float = field(default=0.1)
    layers: "int | None" = None
    fp16: bool = False
    opt: Literal["adam", "sgd"] = "adam"
    kind: Optional[Kind] = None
    sizes: List[int] = field(default_factory=list)
if __name__ == "__main__":
    HfArgumentParser((Data,)).parse_args_into_dataclasses()
"""
TYRO = """
import tyro
def main(lr: float = 0.1, weight_decay: float = 0.0, fp16: bool = False, /):
    pass
if __name__ == "__main__":
    tyro.cli(main)
"""
SIMPLE = """
from dataclasses import dataclass, field
import simple_parsing
@dataclass
class Config:
    lr: float = 0.1
    layers: int = field(default=2)
config = simple_parsing.parse(Config)
"""
INSTALLED = (ARGPARSE, NEEDS, CLICK, TYPER, TYPER_RUN, TYPER_CHOICES, ABSL)
ARGS = '"${env}", "${interpreter}", "${program}"'
NO_BOOLEANS = f'[{ARGS}, "${{args_no_boolean_flags}}"]'
ASSIGNED = f'[{ARGS}, "${{args_no_hyphens}}"]'

# the script, its parameters, the command, and what is said: severity, place and words
TABLE = [
    (ARGPARSE, "lr: {values: [0.1, 1]}, layers: {min: 1, max: 3}, opt: {values: [adam, sgd]}, width: {value: 32}", None, []),
    (ARGPARSE, "lr: {values: [fast, 0.1]}", None, ["warning parameters.lr: train.py does not take fast for --lr"]),
    (ARGPARSE, "lr: {value: null}", None, ["error parameters.lr: train.py does not take None for --lr"]),
    (ARGPARSE, "layrs: {value: 3}", None, ["error parameters.layrs: train.py takes no --layrs (argparse)"]),
    (ARGPARSE, "l: {value: 3}", None, ["error parameters.l: train.py takes no --l (argparse)"]),
    (ARGPARSE, "laye: {value: 3}", None, []),
    (ARGPARSE, "weight_decay: {value: 0.1}", None, ["error parameters.weight_decay: train.py takes no --weight_decay"]),
    (ARGPARSE, "weight-decay: {value: 0.1}", None, []),
    (ARGPARSE, "layers: {values: [0.5, 1.5]}", None, ["error parameters.layers: train.py does not take 0.5, 1.5 for"]),
    (ARGPARSE, "layers: {min: 1.0, max: 4.0}", None, ["error parameters.layers: train.py takes a whole number for"]),
    (ARGPARSE, "layers: {distribution: normal}", None, ["error parameters.layers: train.py takes a whole number for"]),
    (ARGPARSE, "layers: {distribution: q_uniform, min: 2, max: 8, q: 2}", None, []),
    (ARGPARSE, "opt: {values: [adam, lion]}", None, ["warning parameters.opt: train.py does not take lion for --opt"]),
    (ARGPARSE, "width: {values: [16, 8]}", None, ["error parameters.width: train.py does not take 16, 8 for --width"]),
    (ARGPARSE, "opt: {value: rmsprop}", None, ["error parameters.opt: train.py does not take rmsprop for --opt"]),
    (ARGPARSE, "fp16: {values: [true, false]}", None, ["error parameters.fp16: --fp16 of train.py is a flag without a"]),
    (ARGPARSE, "cache: {value: true}", None, ["error parameters.cache: --cache of train.py is a flag without a value"]),
    (ARGPARSE, "fp16: {values: [0, 1]}", NO_BOOLEANS, ["error parameters.fp16: --fp16 of train.py is a flag without"]),
    (ARGPARSE, "fp16: {values: [true, false]}", NO_BOOLEANS, []),
    (ARGPARSE, "fp16: {min: 0, max: 1}", None, ["error parameters.fp16: --fp16 of train.py is a flag without a value"]),
    (ARGPARSE, "warm: {value: true}", NO_BOOLEANS, ["error parameters.warm: --warm of train.py takes a value, and true is"]),
    (ARGPARSE, "warm: {values: [true, false]}", None, []),
    (ARGPARSE, "shuffle: {values: [true, false]}", None, ["warning parameters.shuffle: --shuffle of train.py is read with"]),
    (ARGPARSE, "sizes: {values: [[1, 2]]}", None, ["error parameters.sizes: [1, 2] is passed as one text, and --sizes of"]),
    (ARGPARSE, "sizes: {values: [1, 2]}", None, []),
    (ARGPARSE, "lr: {parameters: {a: {value: 1}}}", None, ["error parameters.lr: nested parameters are passed as one text"]),
    (ARGPARSE, "lr: {value: 1}", ASSIGNED, ["error command: train.py takes --name=value (argparse), and is given name=v"]),
    (ARGPARSE, "anything: {value: 1}", '[python, "${program}"]', []),
    (ARGPARSE, "lrr: {value: 1}", '[python, train.py, "${args_no_equals}"]', ["error parameters.lrr: train.py takes no"]),
    (ARGPARSE, "lrr: {value: 1}", '[python, -m, train, "${args}"]', ["error parameters.lrr: train.py takes no --lrr"]),
    (ARGPARSE, "lrr: {value: 1}", '[python, -m, other, "${args}"]', []),
    (ARGPARSE, "lrr: {value: 1}", '[python, other.py, "${args}"]', []),
    (ARGPARSE, "lrr: {value: 1}", '[python, "${program}", "${args_json}"]', []),
    (ARGPARSE, "lrr: {value: 1}", '[bash, "-c", "python train.py", "${args}"]', []),
    (NEEDS, "lr: {value: 1}", f'[{ARGS}, d, "${{args}}"]', []),
    (NEEDS, "lr: {value: 1}", None, ["error parameters: train.py needs data (a positional argument), which it is not"]),
    (NEEDS, "moment: {value: 1}", f'[{ARGS}, d, --lr=1, "${{args}}"]', ["error parameters.moment: train.py takes no"]),
    (NEEDS, "momentum: {value: 1}", f'[{ARGS}, d, "${{args}}"]', ["error parameters: train.py needs --lr, which it is"]),
    (NEEDS, "momentum: {value: 1}", f'[{ARGS}, d, "${{args_json_file}}"]', []),
    (CLICK, "lr: {value: 1}, layers: {value: 2}, opt: {value: sgd}, data-dir: {value: x}", None, []),
    (CLICK, "data_dir: {value: x}", None, ["error parameters: train.py needs --data-dir", "error parameters.data_dir: train"]),
    (CLICK, "data-dir: {value: x}, layers: {value: 0.5}", None, ["error parameters.layers: train.py does not take 0.5"]),
    (CLICK, "data-dir: {value: x}, opt: {value: lion}", None, ["error parameters.opt: train.py does not take lion"]),
    (CLICK, "data-dir: {value: x}, fp16: {value: true}", None, ["error parameters.fp16: --fp16 of train.py is a flag"]),
    (CLICK, "data-dir: {value: x}, debug: {value: true}", None, ["error parameters.debug: --debug of train.py is a flag"]),
    (CLICK, "data-dir: {value: x}, no-fp16: {value: true}", NO_BOOLEANS, []),
    (TYPER, "lr: {value: 1}, name: {value: x}, layers: {value: 3}, learning-rate: {value: 0.1}", None, []),
    (TYPER, "learning_rate: {value: 1}, name: {value: x}", None, ["error parameters.learning_rate: train.py takes no --l"]),
    (TYPER, "lr: {value: 1}", None, ["error parameters: train.py needs --name, which it is not given"]),
    (TYPER, "fp16: {value: true}, name: {value: x}", None, ["error parameters.fp16: --fp16 of train.py is a flag"]),
    (TYPER_RUN, "lr: {value: 1}", None, ["error parameters: train.py needs data (a positional argument)"]),
    (TYPER_RUN, "lr: {value: x}", f'[{ARGS}, d, "${{args}}"]', ["error parameters.lr: train.py does not take x for --lr"]),
    (ABSL, "lr: {value: 1}, fp16: {value: true}, data: {value: x}, verbosity: {value: 0}", None, []),
    (ABSL, "lrr: {value: 1}, data: {value: x}", None, ["error parameters.lrr: train.py takes no --lrr (absl)"]),
    (ABSL, "lr: {value: 1}", None, ["error parameters: train.py needs --data, which it is not given"]),
    (ABSL, "opt: {value: lion}, data: {value: x}", None, ["error parameters.opt: train.py does not take lion for --opt"]),
    (FIRE, "data: {value: x}, weight-decay: {value: 1}, lr: {value: 2}", None, []),
    (FIRE, "data: {value: x}, momentum: {value: 1}", None, ["warning parameters.momentum: train.py takes no --momentum"]),
    (FIRE, "lr: {value: 1}", None, ["warning parameters: train.py needs --data, which it is not given"]),
    (HYDRA, "lr: {value: 1}", None, ["error program: train.py takes name=value (hydra), and is given --name=value"]),
    (HYDRA, "lr: {value: 1}, model.depth: {value: 2}, optimizer: {value: adam}, optimizer.eps: {value: 1}", ASSIGNED, []),
    (HYDRA, "lrr: {value: 1}", ASSIGNED, ["error parameters.lrr: train.py takes no lrr (hydra)"]),
    (HYDRA, "model.width: {value: 1}", ASSIGNED, ["error parameters.model.width: train.py takes no model.width (hydra)"]),
    (HYDRA, "lrr: {value: 1}", f'[{ARGS}, "${{args_override_hydra}}"]', []),
    (LIGHTNING, "model.lr: {value: 1}", None, ["error program: train.py needs a subcommand (LightningCLI), and is given none"]),
    (LIGHTNING, "model.lr: {value: 1}, trainer.max_epochs: {value: 2}", f'[{ARGS}, fit, "${{args}}"]', []),
    (LIGHTNING, "lr: {value: 1}", f'[{ARGS}, fit, "${{args}}"]', ["error parameters.lr: train.py takes no --lr (Lightning"]),
    (LIGHTNING, "model.layers: {value: x}", f'[{ARGS}, fit, "${{args}}"]', ["error parameters.model.layers: train.py does"]),
    (LIGHTNING, "model.kind: {value: l}", f'[{ARGS}, fit, "${{args}}"]', ["error parameters.model.kind: train.py does not take"]),
    (LIGHTNING, "model.opt: {value: x}", f'[{ARGS}, fit, "${{args}}"]', ["error parameters.model.opt: train.py does not take x"]),
    (HF, "path: {value: x}, lr: {value: 1}, seed: {value: 2}, fp16: {value: true}", None, []),
    (HF, "lrr: {value: 1}, path: {value: x}", None, ["error parameters.lrr: train.py takes no --lrr (HfArgumentParser)"]),
    (HF, "lr: {value: 1}", None, ["error parameters: train.py needs --path, which it is not given"]),
    (HF, "path: {value: x}, layers: {value: 1.5}", None, ["error parameters.layers: train.py does not take 1.5 for --lay"]),
    (HF, "path: {value: x}, opt: {value: sgd}, kind: {value: s}, sizes: {value: 3}", None, []),
    (HF, "path: {value: x}, opt: {value: rmsprop}", None, ["error parameters.opt: train.py does not take rmsprop for --opt"]),
    (HF, "path: {value: x}, kind: {value: small}", None, ["error parameters.kind: train.py does not take small for --kind"]),
    (HF, "path: {value: x}, sizes: {value: [3, 4]}", None, ["error parameters.sizes: [3, 4] is passed as one text"]),
    (HF, "path: {value: x}, sizes: {value: 3 4}", None, ["error parameters.sizes: train.py does not take 3 4 for --sizes"]),
    (TYPER_CHOICES, "opt: {value: sgd}, kind: {value: s}, any-case: {value: S}", None, []),
    (TYPER_CHOICES, "opt: {value: rmsprop}", None, ["error parameters.opt: train.py does not take rmsprop for --opt"]),
    (TYPER_CHOICES, "kind: {value: small}", None, ["error parameters.kind: train.py does not take small for --kind"]),
    (TYRO, "lr: {value: 1}, weight_decay: {value: 1}", None, []),
    (TYRO, "decay: {value: 1}", None, ["warning parameters.decay: train.py takes no --decay (tyro)"]),
    (SIMPLE, "layers: {value: x}", None, ["warning parameters.layers: train.py does not take x for --layers"]),
    (SIMPLE, "lrr: {value: 1}", None, ["warning parameters.lrr: train.py takes no --lrr (simple_parsing)"]),
]  # fmt: skip

UNSURE = {
    "known args": ARGPARSE.replace("parse_args", "parse_known_args"),
    "own words": ARGPARSE.replace("parse_args()", "parse_args(['--lr=1'])"),
    "changed words": ARGPARSE + "\nimport sys\nsys.argv = sys.argv[:1]\n",
    "mended words": ARGPARSE + "\nimport sys\nsys.argv.remove('--layrs=3')\n",
    "two parsers": ARGPARSE + "\nother = argparse.ArgumentParser()\n",
    "computed names": ARGPARSE.replace('"--lr"', '"--" + "lr"'),
    "a loop": ARGPARSE.replace('parser.add_argument("--lr"', 'for n in ("--lr",): parser.add_argument(n'),
    "parents": ARGPARSE.replace("ArgumentParser()", "ArgumentParser(parents=[p])"),
    "argument files": ARGPARSE.replace("ArgumentParser()", "ArgumentParser(fromfile_prefix_chars='@')"),
    "given away": ARGPARSE.replace("if __name__", "library.extend(parser)\nif __name__"),
    "subparsers": ARGPARSE.replace("if __name__", "parser.add_subparsers()\nif __name__"),
    "a parser of its own": ARGPARSE + "\nclass P(argparse.ArgumentParser): pass\n",
    "two libraries": ARGPARSE + CLICK,
    "jsonargparse": ARGPARSE.replace("import argparse", "import jsonargparse as argparse"),
    "no parser": "import wandb\nwandb.init()\n",
    "no Python": "(((",
    "click group": CLICK.replace("@click.command()", "@click.group()"),
    "click with others": CLICK.replace("@click.command()", "@click.command(context_settings={'ignore_unknown_options': True})"),
    "click decorator": CLICK.replace("@click.command()", "@click.command()\n@common_options"),
    "click names": CLICK.replace('"--lr"', "NAME"),
    "click called with words": CLICK.replace("    main()", "    main(['--lr=1'])"),
    "two commands": TYPER + "\n@app.command()\ndef other(x: int = 1): pass\n",
    "typer callback": TYPER + "\n@app.callback()\ndef other(x: int = 1): pass\n",
    "no flags": ABSL.replace("flags.DEFINE", "other"),
    "absl names": ABSL.replace('"lr"', "NAME"),
    "fire class": FIRE.replace("fire.Fire(main)", "fire.Fire({'a': main})"),
    "fire kwargs": FIRE.replace("weight_decay=0.0", "**more"),
    "structured hydra": HYDRA.replace("import hydra", "import hydra\nfrom hydra.core.config_store import ConfigStore as S"),
    "hydra elsewhere": HYDRA.replace('"conf"', "None"),
    "hydra missing": HYDRA.replace('"config"', '"missing"'),
    "lightning more": LIGHTNING + "\nclass C(LightningCLI):\n    def more(self, p):\n        p.add_argument('--x')\n",
    "lightning parser": LIGHTNING.replace("LightningCLI(Model)", "LightningCLI(Model, args=[])"),
    "library dataclass": HF.replace("(Data,)", "(Data, TrainingArguments)"),
    "library base": HF.replace("Data(Base)", "Data(TrainingArguments)"),
    "plain class": HF.replace("@dataclass\nclass Data", "class Data"),
    "two calls": TYRO + "\ntyro.cli(main)\n",
    "nested": SIMPLE.replace("int = field", "Other = field"),
}  # fmt: skip


def spec_of(parameters, command):
    more = "" if command is None else f"command: {command}\n"
    text = f"program: train.py\nmethod: random\n{more}parameters: {{{parameters}}}\n"
    return load_text(text).require()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    config = (
        "defaults: [_self_, base, {optimizer: adam}, {override hydra/launcher: joblib}]\nlr: 0.1\nmodel: {depth: 2}\n"
    )
    (tmp_path / "conf" / "config.yaml").write_text(config, encoding="utf-8")
    (tmp_path / "conf" / "base.yaml").write_text("seed: 1\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("script", "parameters", "command", "said"), TABLE)
def test_what_a_script_refuses_is_said_and_true(script, parameters, command, said, folder):
    """Each finding by severity, place and words; and the script, run with the first config, fails where it is an error."""
    (folder / "train.py").write_text(script, encoding="utf-8")
    spec = spec_of(parameters, command)
    found = findings(spec, folder)
    assert [f"{f.severity} {f.where}: {f.message}"[: len(words)] for f, words in zip(found, said, strict=True)] == said
    if script not in INSTALLED or (command and ("json" in command or "other" in command)):
        return
    words = preview(spec, n_trials=1, cwd=folder, environ=os.environ).trials[0].argv
    if "train.py" in words:
        fails = run_here(folder / "train.py", words[words.index("train.py") + 1 :])
        assert fails == any(f.severity == "error" for f in found) or any(f.severity == "warning" for f in found)


def run_here(script, words):
    """Run a script in this process and return whether it ends with an error code."""
    before = sys.argv
    sys.argv = [str(script), *words]
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            if "absl" in script.read_text(encoding="utf-8"):
                from absl import flags

                return _absl_fails(script, flags)
            runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        return end.code not in (0, None)
    finally:
        sys.argv = before
    return False


def _absl_fails(script, flags):
    """Parse with flags of its own: absl's are global, and those of the script would stay."""
    text = script.read_text(encoding="utf-8").split("def main")[0].replace("from absl import app, flags", "")
    own = flags.FlagValues()
    defined = text.replace("flags.FLAGS", "own").replace('"x")', '"x", flag_values=own)')
    defined = defined.replace('required("data")', 'required("data", flag_values=own)')
    exec(defined, {"flags": flags, "own": own})
    try:
        own([word for word in sys.argv if "verbosity" not in word])
    except flags.Error:
        return True
    return False


@pytest.mark.parametrize("script", UNSURE.values(), ids=UNSURE)
@pytest.mark.parametrize("command", [None, ASSIGNED], ids=["args", "no_hyphens"])
def test_what_cannot_be_read_for_sure_is_not_judged(script, command, folder):
    """Another parser, words of the script's own, names that are computed: silence, not a guess."""
    if (command is None) == ("hydra" in script):
        return
    (folder / "train.py").write_text(script, encoding="utf-8")
    spec = spec_of("layrs: {value: 3}, path: {value: 1}, model.x: {value: 1}", command)
    assert findings(spec, folder) == []


def test_imports_of_the_project_are_followed(folder):
    """Arguments that a module beside the script adds count; those of a function that nobody calls are not required."""
    (folder / "lib").mkdir()
    (folder / "lib" / "__init__.py").touch()
    (folder / "lib" / "args.py").write_text(
        "from .more import add_more\n"
        "def add(p):\n    p.add_argument('--lr', type=float)\n    add_more(p)\n"
        "def unused(p):\n    p.add_argument('--never', required=True)\n"
        "if __name__ == '__main__':\n    import argparse\n    argparse.ArgumentParser().parse_args()\n",
        encoding="utf-8",
    )
    (folder / "lib" / "more.py").write_text(
        "def add_more(p):\n    p.add_argument('--seed', type=int)\n", encoding="utf-8"
    )
    (folder / "train.py").write_text(
        "import argparse\nfrom lib.args import add\nparser = argparse.ArgumentParser()\nadd(parser)\n"
        "if x:\n    parser.add_argument('--maybe', required=True)\nparser.parse_args()\n",
        encoding="utf-8",
    )
    found = findings(spec_of("lr: {value: x}, seed: {value: 1}, sed: {value: 1}", None), folder)
    assert [f.where for f in found] == ["parameters.lr", "parameters.sed"]
    assert found[1].hint == "did you mean `seed`?"


def test_a_script_that_is_not_there_is_not_judged(folder):
    """That it is missing is said elsewhere."""
    assert findings(spec_of("a: {value: 1}", None), folder) == []
