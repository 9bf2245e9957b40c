"""Every command and code block of README.md is run: as it stands, or as `INSTEAD` says and why."""

import importlib.util
import itertools
import re
import shlex
import sys
from pathlib import Path

import pytest

from orchestrator.errors import ExitCode
from orchestrator.spec import load_text
from orchestrator.spec.model import Options
from orchestrator.spec.options import READERS
from tests.scripts import run, run_script

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "console" for line in text.splitlines()]

INSTEAD = {
    # command: what is run in its place
    "make demo": "make -n demo",  # its sweep is run by `make bench`
    "make test": "make -n test",  # this is it
    "python3 -m pip install .": f"{sys.executable} -m pip install --dry-run --no-deps --no-build-isolation --quiet .",
    "sweep try sweeps/digits-random.yaml": "sweep try sweeps/digits-random.yaml --set epochs=1",
    "sweep run sweeps/digits-random.yaml": "sweep run LIGHT",
    "sweep run sweeps/digits-random.yaml -d": "sweep run LIGHT -d",
    "sweep resume --add 10": "sweep resume --add 1",
    "sweep serve": "timeout --preserve-status --signal INT 15 sweep serve --port 0",  # the same
    "sweep board": "timeout --preserve-status --signal INT 15 sweep board --port 0",  # it shows TensorBoard until Ctrl-C
    # there are no GPUs here: that the spec takes the amount is checked here, the sweeps are run by test_example_sweeps.py
    "sweep run sweeps/digits-bayes.yaml --gpus-per-trial 0.5": (
        "sweep check sweeps/digits-bayes.yaml --set orchestrator.resources.gpu=0.5"
    ),
    "sweep run sweeps/ddp.yaml --gpus-per-trial 4": "sweep check sweeps/ddp.yaml --set orchestrator.resources.gpu=4",
    "ray start --head": "true",  # the tests have started one
    "sweep nodes sweeps/digits-grid.yaml --address auto": "sweep nodes sweeps/digits-grid.yaml --address ADDRESS",
    "sweep run sweeps/digits-grid.yaml --address auto": "sweep run LIGHT --address ADDRESS",
}


def test_every_kind_of_block_is_run():
    """A block of another kind, or a replacement for a command that is gone, has to be looked at."""
    assert {kind for kind, _ in BLOCKS} == {"console", "python", "yaml"}
    assert set(INSTEAD) <= set(COMMANDS)


LIGHT = """
program: PROGRAM
method: random
run_cap: 2
metric: {name: loss, goal: minimize}
parameters: {lr: {min: 0.1, max: 0.2}}
"""
"""Run where the command is the point and not the program: a warm torch takes longer than the rest."""

LIGHT_PROGRAM = """
import sys
from orchestrator import report
report(loss=float(sys.argv[1].partition("=")[2]))
"""


@pytest.mark.ray
@pytest.mark.timeout(900)  # a dozen commands, of which five run trials
def test_the_commands_do_what_they_say(tmp_path, ray_head):
    """In the order of the page, one after the other, in one runs directory: each ends with exit code 0."""
    light, runs = tmp_path / "light.yaml", tmp_path / "runs"
    light.write_text(LIGHT.replace("PROGRAM", str(tmp_path / "light.py")), encoding="utf-8")
    (tmp_path / "light.py").write_text(LIGHT_PROGRAM, encoding="utf-8")
    for command in COMMANDS:
        instead = INSTEAD.get(command, command).replace("ADDRESS", ray_head).replace("LIGHT", str(light))
        run(*shlex.split(instead), cwd=ROOT, SWEEP_RUNS_DIR=str(runs), RAY_ADDRESS=ray_head, RAY_AUTH_MODE="disabled")


@pytest.mark.ray
def test_the_python_blocks_run(tmp_path, ray_head):
    """One after the other in one directory, as scripts: the second reads the results of the first."""
    texts = [text for kind, text in BLOCKS if kind == "python"]
    for number, text in zip(itertools.count(), texts, strict=False):
        done = run_script(tmp_path / f"block{number}.py", text, RAY_ADDRESS=ray_head, RAY_AUTH_MODE="disabled")
        assert done.stdout or number == len(texts) - 1
    assert (tmp_path / "checkpoints" / "weights").exists()


def test_the_yaml_blocks_are_specs():
    """Nothing in them is wrong or would be misread by W&B."""
    for kind, text in BLOCKS:
        if kind == "yaml":
            reading = load_text(text)
            assert reading.require().options != Options()
            assert not reading.warnings


def test_the_tables_name_every_key_and_every_exit_code():
    """What the tables list is what there is."""
    block = README.split("## The `orchestrator:` block")[1].split("## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", block, flags=re.MULTILINE)) == set(READERS)
    codes = README.split("## Exit codes")[1].split("## ")[0]
    assert [int(code) for code in re.findall(r"^\| (\d) \|", codes, flags=re.MULTILINE)] == [
        int(code) for code in ExitCode
    ]


def test_the_reference_is_what_the_commands_say():
    """If it is not: `make readme`."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / ".readme" / "reference.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    assert reference.updated(README) == README


def test_links_lead_somewhere():
    """Files that the page shows or points to exist."""
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_installation_of_the_demo_says_how_far_it_is():
    """Of what pip says: the package that it is at, how many there are, and how large what it fetches is."""
    spec = importlib.util.spec_from_file_location("install", ROOT / ".readme" / "install.py")
    install = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(install)
    lines = ["Looking in indexes", "Collecting six==1.17.0 (from -r c.txt (line 1))", "  Downloading six-1.17.0.whl (11 kB)",
             "Requirement already satisfied: idna==3.10 in /x", "Installing collected packages: six"]  # fmt: skip
    said = ["1 of 2  six==1.17.0", "1 of 2  six-1.17.0.whl (11 kB)", "2 of 2  idna==3.10", "unpacking 2 packages"]
    assert list(install.progress(lines, 2)) == said
