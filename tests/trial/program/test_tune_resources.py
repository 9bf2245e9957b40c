"""What a Tune program asks for is read from it, in another process."""

import pytest

from orchestrator.trial.contract import function_file
from orchestrator.trial.program.tune_resources import asked_for, function_asks_for

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
        ("plain", None),
        ("some", {"CPU": 2.0, "GPU": 0.5}),
        ("bundles", {"CPU": 3.0, "extra": 1.0}),
        ("Asks", {"CPU": 3.0}),
        ("gone", None),
    ],
)
def test_a_program_says_what_it_takes(tmp_path, name, expected):
    """A function with resources, several bundles, a class; nothing where nothing is said or nothing is there."""
    (tmp_path / "asks.py").write_text(PROGRAM)
    assert asked_for(f"asks:{name}", str(tmp_path)) == expected


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
        function_file.write(tmp_path / name, here[name])
        found[name] = function_asks_for(tmp_path / name, str(tmp_path))
    assert found == {
        "plain": None,
        "some": {"CPU": 2.0, "GPU": 0.5},
        "bundles": {"CPU": 3.0, "extra": 1.0},
        "Asks": {"CPU": 3.0},
    }
