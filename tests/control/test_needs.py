"""What a spec's program imports, and where it lies."""

import os
import sys

from orchestrator.control import needs
from orchestrator.control.pythons import one_python, own_pythons
from orchestrator.spec import load_text
from tests.interpreters.environments import venv

PROGRAM = """
import os, mine, numpy.linalg
from torch.utils import data
from . import beside
if os.environ.get("X"):
    import perhaps_not_here
try:
    import yaml
except ImportError:
    pass
def late():
    import tensorboard, other_not_here
"""


def of(text, cwd, **options):
    spec = load_text(text).require()
    return needs.of_spec(spec, own_pythons(), cwd=str(cwd), environ=os.environ, **{"pinned": False} | options)


def test_what_a_program_cannot_run_without(tmp_path):
    """What it imports in any case, also through its own modules; what it imports perhaps only if it is here."""
    (tmp_path / "train.py").write_text(PROGRAM)
    (tmp_path / "mine.py").write_text("import scipy, sure_not_here\n")
    spec = "program: train.py\nmethod: grid\nparameters: {x: {values: [1]}}\n"
    wanted = of(spec, tmp_path)
    assert wanted.libraries == {sys.executable: ("numpy", "scipy", "sure_not_here", "tensorboard", "torch", "yaml")}
    assert wanted.files == (str(tmp_path / "train.py"),)
    assert of(spec, tmp_path, pinned=True).questions({})["files"] == []


def missing(text, cwd, pythons):
    return needs.not_found(load_text(text).require(), pythons, cwd=str(cwd), environ=os.environ)


CERTAIN = """
import os, orchestrator, numpy, gone_one.sub, mine, package.part, wandb
from contextlib import suppress
with suppress(ImportError):
    import gone_maybe
with open(os.devnull):
    import gone_two
def late():
    import optional
if __name__ == "__main__":
    from gone_three import x
"""


def test_what_an_interpreter_does_not_find(tmp_path, monkeypatch):
    """Only what is imported whenever the program runs; one whose folders show all of it is not started for that."""
    (tmp_path / "train.py").write_text(CERTAIN)
    (tmp_path / "mine.py").write_text("try:\n    import gone_tried\nexcept ImportError:\n    import gone_else\n")
    (tmp_path / "optional.py").write_text("import gone_later\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package/part.py").touch()
    (tmp_path / "wandb/run-1/files").mkdir(parents=True)
    spec = "program: train.py\nmethod: grid\nparameters: {x: {values: [1]}}\n"
    gone = ("gone_one", "gone_three", "gone_two")
    assert missing(spec, tmp_path, own_pythons()) == {sys.executable: ("train.py", gone)}
    bare = str(venv(tmp_path / "bare", "3.12"))
    pythons = one_python(bare, "named", cwd=str(tmp_path), environ=os.environ)
    assert missing(spec, tmp_path, pythons) == {bare: ("train.py", (*gone, "numpy", "wandb"))}
    (tmp_path / "train.py").write_text(f"import sys\nsys.path.append('..')\n{CERTAIN}")
    assert missing(spec, tmp_path, pythons) == {}
    packages = next((tmp_path / "bare/lib").glob("python*/site-packages"))
    (packages / "numpy").mkdir()
    (packages / "yaml.cpython-312-x86_64-linux-gnu.so").touch()
    (tmp_path / "train.py").write_text("import numpy.linalg, yaml, json\n")
    monkeypatch.setattr(needs, "ask", None)
    assert missing(spec, tmp_path, pythons) == {}


def test_modules_commands_and_what_is_not_read(tmp_path):
    """A module's file is looked for as Python does; a command of another kind needs nothing that is known."""
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/__init__.py").touch()
    (tmp_path / "pack/train.py").write_text("import numpy\n")
    rest = "method: grid\nparameters: {x: {values: [1]}}\n"
    command = "command: ['${interpreter}', -m, pack.train]\n"
    assert of(command + rest, tmp_path).files == (str(tmp_path / "pack/train.py"),)
    assert of("command: [ls]\n" + rest, tmp_path).libraries == {sys.executable: ()}
    (tmp_path / "bad.py").write_text("import (\n")
    assert of("program: bad.py\n" + rest, tmp_path).libraries == {sys.executable: ()}
