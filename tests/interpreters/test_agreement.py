"""Whether a node has the Pythons that trials run in."""

from dataclasses import replace

from orchestrator.interpreters.agreement import Agreement, agreement, expected
from orchestrator.interpreters.probe import Interpreter, UnfitError, own

HERE = Interpreter(path="/p/.venv/bin/python", version=(3, 10, 13), prefix="/p/.venv", packages={"wandb": "0.21.4"})


def compared(there: Interpreter | str, *, wanted: Interpreter = HERE):
    def probe(_path: str) -> Interpreter:
        if isinstance(there, str):
            raise UnfitError(there)
        return there

    return agreement(expected([wanted]), probe)


def test_the_same_interpreter_is_no_matter():
    """A patch release counts as the same."""
    assert compared(HERE) == Agreement()
    assert compared(replace(HERE, version=(3, 10, 4))) == Agreement()
    assert compared(own(), wanted=own()) == Agreement()


def test_one_that_is_missing_or_another_version_keeps_trials_out():
    """In words that follow the node's name."""
    assert compared("does not exist").unfit == "cannot run trials in /p/.venv/bin/python: it does not exist"
    unfit = compared(replace(HERE, version=(3, 12, 1))).unfit
    assert unfit == "has Python 3.12.1 at /p/.venv/bin/python, this machine 3.10.13: they must be the same"


def test_other_versions_of_packages_are_said():
    """Trials run there all the same."""
    told = "has other packages in /p/.venv/bin/python: wandb not there, 0.21.4 here, torch 2.4.0 there, not here"
    assert compared(replace(HERE, packages={"torch": "2.4.0"})) == Agreement(differs=told)


def test_the_commands_own_python_is_used_where_it_is():
    """Where the node's Ray runs in another one; where it is not, trials run in Ray's, which is said with what that lacks."""
    elsewhere = replace(own(), path="/tool/bin/python", is_own=False)
    tool = replace(elsewhere, is_own=True)
    assert compared(elsewhere, wanted=tool) == Agreement(own="/tool/bin/python")
    tool = replace(tool, packages=own().packages | {"wandb": "0.1", "jax": "7"})
    found = compared("does not exist", wanted=tool)
    there = own().packages["wandb"]
    with_others = f"with other packages: wandb {there} there, 0.1 here, jax not there, 7 here"
    told = f"has no /tool/bin/python, and runs trials in {own().path} {with_others}"
    assert found == Agreement(differs=told)
