"""What a spec's program imports, and where it lies."""

import os
import sys

from orchestrator.control import needs
from orchestrator.control.pythons import own_pythons
from orchestrator.spec import load_text

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
