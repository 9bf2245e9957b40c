"""The oracle is the installed agent itself: its `_command_run`, with only the child process replaced."""

import json
import os
import shlex
import sys
from types import SimpleNamespace
from unittest import mock

import hypothesis.strategies as st
import pytest
import wandb.wandb_agent
import yaml
from hypothesis import HealthCheck, example, given, settings
from wandb.sdk.lib import config_util

from orchestrator.arguments import command as commands_module
from orchestrator.arguments.command import expand, needs_json_file, param_file, program_of
from orchestrator.errors import ProgramError
from orchestrator.trial.contract.launch import ProgramKind

CONFIG = {"lr": 1e-5, "t": True, "f": False, "n": None, "s": "a b", "o": {"k": 1, "deep": {"x": [1, 2.5]}}, "big": 3e22}
ENV = {"HOME_DIR": "/data", "MACRO": "${args_no_hyphens}"}
MACROS = (
    *("env", "interpreter", "program", "args", "args_no_equals", "args_no_hyphens", "args_no_boolean_flags"),
    *("args_json", "args_json_file", "args_append_hydra", "args_override_hydra", "args_dict", "batch_size", ""),
)

numbers = st.none() | st.booleans() | st.integers() | st.floats()
scalars = numbers | st.text(st.characters(codec="utf-8"), max_size=9)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3)
)
configs = st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]*", fullmatch=True), values, max_size=5)
chunks = st.sampled_from(
    [f"${{{name}}}" for name in MACROS]
    + ["python", "-u", "--x=${batch_size}", "${program} ${args}", "${envvar:HOME_DIR}/x", "${envvar:MACRO}"]
    + ["${envvar:MISSING}", "a${envvar:HOME_DIR}b${envvar:}c", 7]
)


def run_agent(monkeypatch, directory, command, config):
    """Return (argv, text of the param file, text of the JSON file or None) as W&B's agent makes them."""
    launched = {}
    monkeypatch.setattr(wandb.wandb_agent, "AgentProcess", lambda **given: SimpleNamespace(**launched, **given))
    for name, value in {"WANDB_DIR": str(directory), "WANDB_SWEEP_ID": "s", **ENV}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MISSING", raising=False)
    agent = object.__new__(wandb.wandb_agent.Agent)
    agent._in_jupyter, agent._function, agent._forward_signals, agent._run_processes = False, None, False, {}
    agent._sweep_command = [str(chunk) for chunk in command] if command else []
    args = {name: {"value": value} for name, value in config.items()}
    agent._command_run({"run_id": "r", "program": "train.py", "args": args})
    folder = directory / "wandb" / "sweep-s"
    json_file = folder / "config-r.json"
    as_json = json_file.read_text() if json_file.exists() else None
    json_file.unlink(missing_ok=True)
    return agent._run_processes["r"].command, (folder / "config-r.yaml").read_text(), as_json


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(command=st.lists(chunks, max_size=5), config=configs)
@example(command=[], config=CONFIG)
@example(command=[f"${{{name}}}" for name in MACROS], config=CONFIG)
def test_a_trial_gets_what_the_installed_agent_would_give_it(tmp_path, monkeypatch, command, config):
    """Argv, param file and JSON file are those of the real agent, for any command and config."""
    with monkeypatch.context() as patch, mock.patch.dict(os.environ):  # the agent writes into its own environment too
        argv, params, as_json = run_agent(patch, tmp_path, command, config)
    json_file = tmp_path / "wandb/sweep-s/config-r.json"
    if argv:
        assert expand(command, program="train.py", config=config, env=ENV, json_file=json_file) == argv
    assert param_file(config) == params
    if needs_json_file(command):
        assert json.dumps(config) == as_json


texts = st.text("abcXYZ-_. é:#'{[]}\"\n\t,0e1", min_size=1)
leaves = numbers | texts | st.dictionaries(texts, numbers | texts, max_size=3)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # the client's reader does not close the file
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@given(config=st.dictionaries(st.sampled_from(["a", "b.c", "d-e"]), leaves))
def test_the_param_file_is_read_back_by_the_client(tmp_path_factory, config):
    """`wandb.init` gets the config that was written; floats stay floats."""
    path = tmp_path_factory.mktemp("params") / "config.yaml"
    path.write_text(param_file(config), encoding="utf-8")
    assert repr(config_util.dict_from_config_file(str(path))) == repr(config)


def test_small_floats_are_written_so_that_yaml_reads_floats():
    """1e-05 would come back as a string."""
    assert param_file({"lr": 1e-5}) == "wandb_version: 1\n\nlr:\n  value: 1.0e-05\n"


def test_an_object_that_stands_twice_is_written_out_twice():
    """No YAML anchors: W&B's values come from JSON and are never shared."""
    shared = [1, 2]
    text = param_file({"a": shared, "b": shared})
    assert "&" not in text
    assert yaml.safe_load(text)["b"] == {"value": [1, 2]}


def test_a_missing_program_is_an_error():
    """The default command without a program cannot run."""
    with pytest.raises(ProgramError, match=r"add `program: train.py`"):
        expand(None, program=None, config={}, env={}, json_file="x.json")


def test_a_command_that_expands_to_nothing_is_an_error():
    """W&B's agent would fail with an index error."""
    with pytest.raises(ProgramError, match="expands to nothing"):
        expand(["${typo}"], program="train.py", config={}, env={}, json_file="x.json")


def test_golden_command_lines(golden):
    """Every macro, on one config."""
    commands = [None, *([f"${{{name}}}"] for name in MACROS[:-2]), ["bash", "-c", "${envvar:HOME_DIR}/run ${args}", 3]]
    lines = []
    for command in commands:
        argv = expand(command, program="train.py", config=CONFIG, env=ENV, json_file="wandb/config.json")
        lines.append(f"{command or 'default'}\n    {shlex.join(argv)}\n")
    golden("commands.txt", "".join(lines))


PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
PROGRAMS = [
    "/usr/bin/env python train.py --lr=1",
    "/usr/bin/env python3 -u train.py --lr=1",
    f"env {PYTHON} -O -W error -Xdev -uB sub/train.py a b",
    f"{sys.executable} train.py",
    "python ./train.py",
    "python -m pkg.train --lr=1",
    "python -u -m pkg.train",
    "python pkg.mod:train --lr=1",
    "pkg.mod:train --lr=1",
    "python -m torch.distributed.run train.py",
    "python -m accelerate.commands.launch train.py",
    "python -I train.py",
    "python -c pass",
    "python -",
    "python",
    "python sub",
    "python app.zip",
    "python2 train.py",
    "python3.8 train.py",
    "/opt/other/bin/python train.py",
    "/usr/bin/env FOO=1 python train.py",
    "/usr/bin/env",
    "torchrun --nproc-per-node=2 train.py",
    "accelerate launch train.py",
    "bash run.sh",
    "./train.py",
]


@pytest.fixture
def project(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("train.py", "sub/train.py", "app.zip"):
        (tmp_path / name).touch()
    return tmp_path


def test_golden_programs(golden, project):
    """What starts warm, what starts cold, and why."""
    lines = []
    for line in PROGRAMS:
        program = program_of(shlex.split(line), program="pkg.mod:train", cwd=project)
        flags = " ".join(program.interpreter_args) or "-"
        read = f"{program.kind} {program.target} flags {flags} args {program.args} {program.reason}"
        lines.append(f"{line}\n    {read.rstrip()}\n")
    text = "".join(lines).replace(sys.executable, "SYS_EXECUTABLE").replace(PYTHON, "PYTHON_X.Y")
    golden("programs.txt", text)


def test_a_missing_script_is_an_error_with_a_near_miss(project):
    """The message has the path that was tried and the file that was probably meant."""
    with pytest.raises(ProgramError, match=r"program trian\.py does not exist in .*; did you mean .*/train\.py\?"):
        program_of(["python", "trian.py"], program="trian.py", cwd=project)


def test_a_missing_folder_has_no_near_miss(project):
    """There is nothing to compare with."""
    with pytest.raises(ProgramError, match=r"program no/train\.py does not exist in [^;]*$"):
        program_of(["python", "no/train.py"], program=None, cwd=project)


def test_a_function_of_a_file_is_corrected_to_a_module(project):
    """`train.py:main` is what people write first."""
    with pytest.raises(ProgramError, match=r"write train:main, as for an import"):
        program_of(["python", "train.py:main"], program="train.py:main", cwd=project)


def test_a_file_with_a_colon_in_its_name_is_a_script(project):
    """What exists as a file is a file."""
    (project / "a:b").touch()
    assert program_of(["python", "a:b"], program="a:b", cwd=project).kind is ProgramKind.SCRIPT


def test_plain_values_are_written_by_the_fast_dumper_as_by_w_and_b_s():
    """Libyaml's text of words, numbers, lists and dicts is PyYAML's to the letter."""
    config = {"lr": 1e-05, "on": ["no", "1.5", "-", 1.0, float("inf"), None, True, []], "a.b": {"x": "y" * 60, "z": {}}}
    wrapped = {name: {"value": value} for name, value in config.items()}
    assert commands_module._is_plain(wrapped)
    assert not commands_module._is_plain({"a": ["two words"]})
    options = {"default_flow_style": False, "allow_unicode": True, "sort_keys": False}
    expected = yaml.dump(wrapped, Dumper=commands_module._ParamDumper, **options)
    assert param_file(config) == f"wandb_version: 1\n\n{expected}"
