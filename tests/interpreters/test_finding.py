"""The rule that finds the Python of trials: environment variables and a tree of folders in, one interpreter out."""

import os
from pathlib import Path

import pytest

from orchestrator.errors import ProgramError
from orchestrator.interpreters.finding import Request, find
from orchestrator.interpreters.probe import Interpreter, UnfitError, is_own, own


def fake(path: Path, version: str = "3.10.13") -> Path:
    """Put an interpreter there, that says of itself what the file says: its version, and the packages that it has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(version)
    path.chmod(0o755)
    return path


def says(path: str) -> Interpreter:
    """What a fake interpreter says; one that is too old or broken, as the probe has it."""
    if is_own(path):
        return own()
    text = Path(path).read_text() if Path(path).exists() else "broken"
    if not text[:1].isdigit():
        raise UnfitError("does not run")
    number, *names = text.split()
    version = tuple(map(int, number.split(".")))
    if version < (3, 9):
        raise UnfitError(f"is Python {text}; trials need 3.9 or newer")
    packages = dict.fromkeys(names, "1")
    return Interpreter(path=path, version=version, prefix=str(Path(path).parent.parent), packages=packages)


@pytest.fixture
def tree(tmp_path):
    """A repository with a program two folders deep, and every kind of environment around it."""
    root = tmp_path / "project"
    (root / ".git").mkdir(parents=True)
    (root / "src" / "deep").mkdir(parents=True)
    for name in ("conda", "activated", "given", "named"):
        fake(tmp_path / name / "bin" / "python")
    for folder in ("old", "path", "second"):
        fake(tmp_path / folder / "python", "3.6.15" if folder == "old" else "3.12.1")
    return tmp_path


def found(
    tree: Path, *, beside: tuple[str, ...] = (), env: dict[str, str] | None = None, is_tool=True, **given: str | None
):
    """The interpreter that is found, as a path below the tree, and how."""
    for name in beside:
        fake(tree / "project" / name / "bin" / "python")
    environ = {name: value.replace("TREE", str(tree)) for name, value in (env or {}).items()}
    request = Request(
        cwd=tree / "project",
        program_dir=tree / "project" / "src" / "deep",
        program="train.py",
        environ={"PATH": "", **environ},
        is_tool=is_tool,
        **{name: value and value.replace("TREE", str(tree)) for name, value in given.items()},
    )
    answer = find(request, says)
    return answer if answer.python.is_own else (os.path.relpath(answer.python.path, tree), answer.why)


ALL = {
    "VIRTUAL_ENV": "TREE/activated",
    "CONDA_PREFIX": "TREE/conda",
    "CONDA_DEFAULT_ENV": "work",
    "PATH": "TREE/path:TREE/second",
}
BESIDE = ("src/.venv", ".venv", "venv")


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in ALL.items() if name not in names}


RULE = [
    (
        {"command": "TREE/named/bin/python", "option": "TREE/given"},
        ALL,
        BESIDE,
        "named/bin/python",
        "named in the command",
    ),
    ({"option": "TREE/given", "key": "TREE/named"}, ALL, BESIDE, "given/bin/python", "--python"),
    ({"key": "TREE/named"}, {**ALL, "SWEEP_PYTHON": "TREE/given"}, BESIDE, "given/bin/python", "SWEEP_PYTHON"),
    ({"key": "../named/bin/python"}, ALL, BESIDE, "named/bin/python", "orchestrator.python"),
    ({"key": "python"}, ALL, BESIDE, "path/python", "orchestrator.python"),
    ({"before": "TREE/given/bin/python"}, ALL, BESIDE, "given/bin/python", "as the sweep's trials so far"),
    ({}, ALL, BESIDE, "activated/bin/python", "VIRTUAL_ENV"),
    ({}, without("VIRTUAL_ENV"), BESIDE, "conda/bin/python", "CONDA_PREFIX"),
    (
        {},
        {**without("VIRTUAL_ENV"), "CONDA_DEFAULT_ENV": "base"},
        BESIDE,
        "project/src/.venv/bin/python",
        "found above train.py",
    ),
    (
        {},
        {"PATH": ALL["PATH"]},
        ("src/deep/venv", *BESIDE),
        "project/src/deep/venv/bin/python",
        "found beside train.py",
    ),
    (
        {},
        {"PATH": ALL["PATH"]},
        (".pixi/envs/default",),
        "project/.pixi/envs/default/bin/python",
        "found above train.py",
    ),
    ({}, {"PATH": ALL["PATH"]}, ("../.venv",), "path/python", "first on PATH"),
    ({}, {"PATH": "TREE/old:TREE/second"}, (), "second/python", "first on PATH"),
]


@pytest.mark.parametrize(("given", "env", "beside", "path", "why"), RULE)
def test_the_first_rule_that_names_one_wins(tree, given, env, beside, path, why):  # noqa: PLR0917 - a table
    """Command, what was named, activated, beside the program up to its repository, PATH: in this order."""
    assert found(tree, beside=beside, env=env, **given) == (path, why)


def test_the_commands_own_python_is_the_last_resort_and_is_said(tree):
    """Its own interpreter on PATH is passed over, as `uvx` puts it there; without another it is taken, aloud."""
    env = {"PATH": str(Path(own().path).parent)}
    assert found(tree, env=env).why == "the sweep command's own; no other was found"
    assert found(tree, env={"PATH": f"{env['PATH']}:TREE/path"}) == ("path/python", "first on PATH")
    assert found(tree, env={"VIRTUAL_ENV": own().prefix}).why == "VIRTUAL_ENV"


def test_where_the_command_was_installed_beside_wandb_it_is_not_a_tool_apart(tree):
    """Its own environment is what PATH means there, and better than a Python without anything; one with wandb comes first."""
    own_folder = str(Path(own().path).parent)
    assert found(tree, env={"PATH": f"{own_folder}:TREE/path"}, is_tool=False).why == "first on PATH"
    passed_over = found(tree, env={"PATH": "TREE/path"}, is_tool=False)
    assert passed_over.why == "the sweep command's own; no other was found"
    assert passed_over.skipped == (f"{tree}/path/python has neither wandb nor torch nor their like",)
    for name in ("a", "b", "c"):
        fake(tree / name / "bin" / "python", "3.12.1")
        fake(tree / name / "bin" / "python3", "3.12.1")  # the same one by another name
    paths = ["/".join((str(tree), name, "bin")) for name in ("a", "b", "c")]
    two, three = (found(tree, env={"PATH": ":".join(some)}, is_tool=False).skipped for some in (paths[:2], paths))
    assert two == (f"{paths[0]}/python and {paths[1]}/python have neither wandb nor torch nor their like",)
    assert three == (f"{paths[0]}/python, {paths[1]}/python and 1 more have neither wandb nor torch nor their like",)
    fake(tree / "trained" / "python", "3.12.1 wandb")
    assert found(tree, env={"PATH": "TREE/path:TREE/trained"}, is_tool=False) == ("trained/python", "first on PATH")


def test_without_a_repository_the_search_goes_up_to_where_trials_run(tree):
    """As in a project that came as an archive; what lies above it is not the program's."""
    (tree / "project" / ".git").rmdir()
    fake(tree / ".venv" / "bin" / "python")
    assert found(tree, env={"PATH": f"{tree}/path"}) == ("path/python", "first on PATH")
    assert found(tree, env={"PATH": f"{tree}/path"}, beside=(".venv",))[0] == "project/.venv/bin/python"


def test_what_is_passed_over_though_it_is_there_is_said(tree):
    """A Python on PATH that is too old is no reason to stop, but to say why another is taken."""
    request = Request(cwd=tree, program_dir=tree, environ={"PATH": f"{tree}/old:{tree}/path"}, is_tool=True)
    text = find(request, says).text(tree)
    assert text == f"path/python  3.12.1 (first on PATH; {tree}/old/python is Python 3.6.15; trials need 3.9 or newer)"


@pytest.mark.parametrize(
    ("given", "env", "message"),
    [
        ({"option": "nowhere"}, {}, "--python: nowhere is no file, folder or command on PATH"),
        ({"key": "../project"}, {}, "orchestrator.python: ../project is a folder without bin/python"),
        ({}, {"SWEEP_PYTHON": "TREE/old/python"}, "SWEEP_PYTHON: TREE/old/python is Python 3.6.15; trials need 3.9"),
        ({}, {"VIRTUAL_ENV": "TREE/project"}, "VIRTUAL_ENV: TREE/project has no bin/python; `deactivate` it"),
        ({"before": "TREE/gone/bin/python"}, {}, "the sweep so far: TREE/gone/bin/python does not run"),
    ],
)
def test_one_that_counts_is_never_passed_over(tree, given, env, message):
    """Where somebody named an interpreter or activated an environment, one that cannot be used ends it, with the cure."""
    with pytest.raises(ProgramError) as raised:
        found(tree, env={"PATH": f"{tree}/path", **env}, **given)
    assert message.replace("TREE", str(tree)) in str(raised.value)
    assert "--python PATH, SWEEP_PYTHON=PATH" in str(raised.value)


def test_a_broken_environment_beside_the_program_is_told_with_the_search(tree):
    """Its Python links to one that is gone: what was looked at before is listed."""
    python = tree / "project" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(tree / "gone")
    with pytest.raises(ProgramError) as raised:
        found(tree, env={"PATH": f"{tree}/path"})
    lines = str(raised.value).splitlines()
    assert lines[0] == f"no Python for the trials: found above train.py: {python} does not run"
    assert lines[1] == "  Looked at before it: VIRTUAL_ENV: not set; CONDA_PREFIX: not set."


def test_an_environment_of_another_user_is_passed_over(tree, monkeypatch):
    """A folder above the program may be anybody's; what they put there is not run."""
    fake(tree / "project" / ".venv" / "bin" / "python")
    os.chown(tree / "project" / ".venv", 54321, -1)
    assert found(tree, env={"PATH": f"{tree}/path"}) == ("path/python", "first on PATH")
