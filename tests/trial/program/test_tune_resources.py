"""What a Tune program asks for is read from it, in another process."""

import cloudpickle
import pytest

from orchestrator.trial.contract import function_file
from orchestrator.trial.program.tune_resources import asked_for, function_asks_for, known_resources_of

PROGRAM = """
from ray import tune
def plain(config):
    pass
def some(config):
    pass
some = tune.with_resources(some, {"cpu": 2, "gpu": 0.5})
def bundles(config):
    pass
bundles = tune.with_resources(bundles, tune.PlacementGroupFactory([{"CPU": 1}, {"CPU": 2, "extra": 1}]))
class Asks(tune.Trainable):
    @classmethod
    def default_resource_request(cls, config):
        return tune.PlacementGroupFactory([{"CPU": 3}])
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Asks", {"CPU": 3.0}),
        ("gone", None),
    ],
)
def test_a_program_says_what_it_takes(tmp_path, name, expected):
    """A class; nothing where nothing is there. Functions are below."""
    (tmp_path / "asks.py").write_text(PROGRAM)
    assert asked_for(f"asks:{name}", str(tmp_path)) == expected


@pytest.mark.parametrize("text", ["import lib.deep\nsome = lib.deep.some", "from lib import some"])
def test_a_program_that_has_it_from_another_module_says_what_it_takes(tmp_path, text):
    """From one in a package, or one that a package imports by a relative name."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "__init__.py").write_text("from .deep import some")
    (tmp_path / "lib" / "deep.py").write_text(PROGRAM)
    (tmp_path / "train.py").write_text(text)
    assert asked_for("train:some", str(tmp_path)) == {"CPU": 2.0, "GPU": 0.5}


def test_a_function_of_another_module_says_what_it_takes(tmp_path, monkeypatch):
    """Where a script asks for resources for a function that it imports, only the script knows of it."""
    (tmp_path / "lib_of_functions.py").write_text("def train(config):\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import lib_of_functions
    from ray import tune

    train = tune.with_resources(lib_of_functions.train, {"cpu": 2})
    function_file.write(tmp_path / "function.pkl", train, known_resources_of(train))
    assert function_asks_for(tmp_path / "function.pkl", str(tmp_path)) == {"CPU": 2.0}
    picky = tune.with_resources(lib_of_functions.train, lambda config: {"cpu": config["none"]})
    assert known_resources_of(picky) is None


class Earlier:
    """A function as it was written without resources beside it."""

    def __init__(self, function):
        self.code = cloudpickle.dumps(function)

    def __reduce__(self):
        return function_file.restore, ((), self.code)


def test_a_function_file_of_an_earlier_version_says_what_it_takes(tmp_path):
    """One without a note is loaded, if it mentions resources."""
    here: dict = {"__name__": "__main__"}
    exec(PROGRAM, here)
    (tmp_path / "function.pkl").write_bytes(cloudpickle.dumps(Earlier(here["some"])))
    assert function_asks_for(tmp_path / "function.pkl", str(tmp_path)) == {"CPU": 2.0, "GPU": 0.5}


def test_other_programs_are_not_imported(tmp_path):
    """Scripts, commands, and modules that do not mention resources: finding out would cost an import."""
    (tmp_path / "train.py").write_text("open('imported', 'w')")
    assert [asked_for(program, str(tmp_path)) for program in (None, "train.py", "train:main", "lacking:main")] == [
        None
    ] * 4
    assert not (tmp_path / "imported").exists()


def test_a_function_that_was_sent_says_what_it_takes(tmp_path):
    """As `agent()` writes functions and classes; one that says nothing is not loaded."""
    here: dict = {"__name__": "__main__"}
    exec(PROGRAM, here)
    found = {}
    for name in ("plain", "some", "bundles", "Asks"):
        function_file.write(tmp_path / name, here[name], known_resources_of(here[name]))
        found[name] = function_asks_for(tmp_path / name, str(tmp_path))
    assert found == {
        "plain": None,
        "some": {"CPU": 2.0, "GPU": 0.5},
        "bundles": {"CPU": 3.0, "extra": 1.0},
        "Asks": {"CPU": 3.0},
    }
