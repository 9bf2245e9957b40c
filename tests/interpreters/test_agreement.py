"""Whether a node has the Pythons that trials run in."""

from dataclasses import replace

from orchestrator.interpreters.agreement import disagreement, expected
from orchestrator.interpreters.probe import Interpreter, UnfitError, own

HERE = Interpreter(path="/p/.venv/bin/python", version=(3, 10, 13), prefix="/p/.venv", packages={"wandb": "0.21.4"})


def compared(there: Interpreter | str):
    def probe(_path: str) -> Interpreter:
        if isinstance(there, str):
            raise UnfitError(there)
        return there

    return disagreement(expected([HERE, own()]), probe)


def test_the_same_interpreter_is_no_matter():
    """A patch release counts as the same; the `sweep` command's own is compared elsewhere."""
    assert compared(HERE) == (None, None)
    assert compared(replace(HERE, version=(3, 10, 4))) == (None, None)
    assert list(expected([HERE, own()])) == [HERE.path]


def test_one_that_is_missing_or_another_version_keeps_trials_out():
    """In words that follow the node's name."""
    assert compared("does not exist")[0] == "cannot run trials in /p/.venv/bin/python: it does not exist"
    unfit, _ = compared(replace(HERE, version=(3, 12, 1)))
    assert unfit == "has Python 3.12.1 at /p/.venv/bin/python, this machine 3.10.13: they must be the same"


def test_other_versions_of_packages_are_said():
    """Trials run there all the same."""
    found = compared(replace(HERE, packages={"torch": "2.4.0"}))
    told = "has other packages in /p/.venv/bin/python: wandb not there, 0.21.4 here, torch 2.4.0 there, not here"
    assert found == (None, told)
