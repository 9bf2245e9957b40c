import sys

import pytest

from orchestrator.trial.contract import function_file
from orchestrator.trial.contract.events import Cause
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind
from orchestrator.trial.fork_server.preload import CAPTURE, OPTIMIZER, WANDB, modules_for
from tests.trial.conftest import a_wandb_run, python


def modules(directory, target="train.py", kind=ProgramKind.SCRIPT, **fields):
    """The modules of a program, without those that every trial has."""
    program = Program(kind=kind, target=target)
    places = {"cwd": str(directory), "trial_dir": str(directory), "argv": (), "config": {}}
    launch = Launch(sweep_id="s", sweep_name="s", trial=0, attempt=0, program=program, **places, **fields)
    return [name for name in modules_for(launch) if name not in CAPTURE]


TORCH = ["torch", "torch.nn.functional", "torch.optim", "torch.utils.data"]


@pytest.fixture
def write(tmp_path):
    def write(text, name="train.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import numpy as np", ["numpy"]),
        ("from pandas import DataFrame", ["pandas"]),
        ("import torch.nn as nn", TORCH),
        ("import torch\ndef f():\n    return torch.optim.SGD([], 0.1)", [*TORCH, OPTIMIZER]),
        ("from torch.optim import Adam", [*TORCH, OPTIMIZER]),
        ("from torch import optim as o, nn", [*TORCH, OPTIMIZER]),
        ("import torch\nmine.optim.SGD()", TORCH),
        ("def f():\n    if x:\n        import yaml", ["yaml"]),
        ("try:\n    import numpy\nexcept ImportError:\n    import nothing_of_this_name", ["numpy"]),
        ("import json, os, not_installed", []),
        ("from . import x\nfrom .. import y\nimport", []),
        ("", []),
    ],
)
def test_what_a_script_imports(tmp_path, write, text, found):
    """Anywhere in it, by any form of import; what is not heavy, not installed or cannot be parsed is left out."""
    write(text)
    assert modules(tmp_path) == found


FIRST_OPTIMIZER = """
import sys, torch
before = set(sys.modules)
optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(3))], lr=0.1)
optimizer.zero_grad()
print(len([name for name in set(sys.modules) - before if name.startswith("torch")]))
"""


def test_a_warm_trial_imports_nothing_for_its_first_optimizer(bench):
    """Torch imports half of itself for it, 800 modules; a kind of optimizer may have one of its own."""
    assert int(bench.run(bench.script(FIRST_OPTIMIZER), preload=None).log) < 20


OF_TORCH = ("TORCHDYNAMO_DISABLE", "TORCH_COMPILE_DISABLE", "TORCHINDUCTOR_CACHE_DIR", "TORCH_LOGS", "TORCH_TRACE")


@pytest.mark.parametrize("name", OF_TORCH)
def test_who_may_set_what_an_optimizer_reads_imports_it(tmp_path, write, name):
    """Torch reads some variables once, when it imports that: what the program sets, and a module of its own, must come first."""
    write("import settings\nfrom torch.optim import Adam")
    write("", "settings.py")
    assert modules(tmp_path) == [*TORCH, OPTIMIZER]
    write(f"import os\nos.environ['{name}'] = '1'", "settings.py")
    assert modules(tmp_path) == TORCH


def test_a_function_may_set_what_an_optimizer_reads(tmp_path):
    """What it names is found in its file."""
    for line, found in (("", [*TORCH, OPTIMIZER]), ("os.environ.update(TORCH_COMPILE_DISABLE='1')", TORCH)):
        space = {"__name__": "__main__"}
        exec(f"import os\ndef train():\n    import torch\n    {line}\n    return torch.optim.SGD([], 0.1)\n", space)
        path = tmp_path / "function.pkl"
        function_file.write(path, space["train"])
        assert modules(tmp_path, str(path), ProgramKind.PICKLE) == found


def test_an_older_torch_has_nothing_for_an_optimizer(tmp_path, write, monkeypatch):
    """A module that is not there is not asked for, and so no failure of it is told."""
    write("", "torch/__init__.py")
    write("", "torch/optim/__init__.py")
    write("from torch.optim import Adam", "elsewhere/train.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch", raising=False)  # another test's
    assert OPTIMIZER not in modules(tmp_path / "elsewhere")


def test_what_its_own_modules_import(tmp_path, write):
    """Through packages, relative imports, submodules and cycles of the user's own code, from the script's folder or the cwd."""
    write("import a.b\nfrom code_of import c", "code/train.py")
    write("from .sub import d", "code/a/__init__.py")
    write("from ..train import x\nimport yaml", "code/a/b.py")
    write("from . import e", "code/a/sub/__init__.py")
    write("", "code/a/sub/d.py")
    write("from ...a import b\nimport numpy", "code/a/sub/e.py")
    write("import scipy", "code_of/c.py")
    assert set(modules(tmp_path, "code/train.py")) == {"yaml", "numpy", "scipy"}


def test_the_users_own_module_is_not_a_library(tmp_path, write):
    """`pandas.py` beside the script is what it imports; what that imports counts."""
    write("import pandas")
    write("import yaml", "pandas.py")
    assert modules(tmp_path) == ["yaml"]


def test_modules_and_objects(tmp_path, write):
    """`-m pkg.mod` and `pkg.mod:function` are found in the working directory; a library's own are not read."""
    write("import yaml", "pkg/mod.py")
    assert modules(tmp_path, "pkg.mod", ProgramKind.MODULE) == ["yaml"]
    assert modules(tmp_path, "pkg.mod:train", ProgramKind.OBJECT) == ["yaml"]
    assert modules(tmp_path, "torch.nn:Linear", ProgramKind.OBJECT) == []
    assert modules(tmp_path, "bash", ProgramKind.COMMAND) == []


def test_preload_overrides_what_is_found(tmp_path, write):
    """The spec's list is taken as it is, in its order; W&B's own are added when there is a run."""
    write("import torch")
    assert modules(tmp_path, preload=("yaml", "numpy")) == ["yaml", "numpy"]
    assert modules(tmp_path, preload=()) == []
    assert modules(tmp_path, preload=(), wandb=a_wandb_run()) == list(WANDB)


def test_the_programs_own_modules_are_read_anew(bench):
    """A script or a module of the user's that is edited between two trials is the edited one; the server stays."""
    bench.script("X = 1\n", "mine.py")
    script = bench.script("import mine, os, yaml\nprint(mine.X, os.getppid())\n")
    first = bench.run(script)
    bench.script("X = 'changed'\n", "mine.py")
    bench.script("import mine, os, yaml\nprint('edited', mine.X, os.getppid())\n")
    second = bench.run(script)
    assert first.log.split()[0] == "1"
    assert second.log.split()[:2] == ["edited", "changed"]
    assert first.log.split()[-1] == second.log.split()[-1]


def test_a_module_of_preload_that_cannot_be_imported_is_told(bench):
    """One line in the trial's log with the reason; the trial itself runs."""
    trial = bench.run(bench.script("print('ran')"), preload=("no_such_module", "yaml"))
    assert trial.log == (
        "sweep: warning: preload: no_such_module cannot be imported: "
        "ModuleNotFoundError: No module named 'no_such_module'\nran\n"
    )
    assert trial.started().cold_reason is None


def test_a_broken_library_is_the_programs_own_trouble(bench):
    """A library that was found and fails to import is silent here; the program gets the same error where it imports it."""
    bench.script("raise RuntimeError('built for another CPU')\n", "lib/xgboost/__init__.py")
    bench.script("try:\n    import xgboost\nexcept RuntimeError as error:\n    print('caught', error)\n")
    trial = bench.run("train.py", preload=None, env={"PYTHONPATH": "lib"})
    assert trial.ended().cause is Cause.FINISHED
    assert trial.log == "caught built for another CPU\n"


@pytest.mark.parametrize("library", ["", "import gc; gc.set_threshold(5, 6, 7)"])
def test_how_often_a_program_looks_for_garbage_is_its_own_affair(bench, library):
    """The server does not, while it imports; a trial does as the same program alone."""
    bench.script(library, "picky.py")
    script = bench.script("import gc, picky\nprint(gc.isenabled(), gc.get_threshold())\n")
    trial = bench.run(script, preload=("picky",), env={"PYTHONPATH": str(bench.dir)})
    assert (0, trial.log) == python(script, cwd=bench.dir)
    assert trial.started().cold_reason is None


CUDA = """
import sys
from types import SimpleNamespace
sys.modules["torch"] = SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: True), manual_seed=lambda seed: None)
"""


def test_an_import_that_initialises_cuda_means_a_cold_start(bench):
    """A forked process cannot use CUDA that its parent has begun to use: the program is started cold, with the reason."""
    bench.script(CUDA, "lib/eager.py")
    trial = bench.run(bench.script("print('ran')"), preload=("eager",), env={"PYTHONPATH": "lib"})
    assert trial.started().cold_reason == "CUDA was initialised by an import, and a forked process cannot use it"
    assert trial.log == "ran\n"


LATE = """
import orchestrator.trial.fork_server.server as server
looked = []
server.has_cuda = lambda: looked.append(1) or len(looked) > 1
"""


def test_cuda_that_is_initialised_after_the_imports_makes_trials_cold(bench):
    """It is looked for before every fork: here it is there from the second look on."""
    bench.script(LATE, "initialises_late.py")
    trial = bench.run(bench.script("print('ran')"), preload=("initialises_late",), env={"PYTHONPATH": str(bench.dir)})
    assert trial.started().cold_reason == "CUDA was initialised by an import, and a forked process cannot use it"
    assert trial.ended().cause is Cause.FINISHED
    assert "ran" in trial.log
