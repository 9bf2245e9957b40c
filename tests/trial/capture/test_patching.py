import importlib
import sys

import pytest

from orchestrator.trial.capture.patching import Patches


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Two modules that nobody has imported yet."""
    (tmp_path / "patched_one.py").write_text("X = 1\nimport patched_two\nSEEN = patched_two.X\n")
    (tmp_path / "patched_two.py").write_text("X = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield
    for name in ("patched_one", "patched_two"):
        sys.modules.pop(name, None)


def set_x(module):
    module.X = 2


def test_a_module_is_patched_when_it_is_imported(package):
    """After its own code, before its importer sees it; once, also when it is imported by another module."""
    Patches({"patched_one": set_x, "patched_two": set_x}).install()
    one = importlib.import_module("patched_one")
    assert (one.X, one.SEEN) == (2, 2)
    one.X = 5
    assert importlib.import_module("patched_one").X == 5


def test_a_module_that_is_there_is_patched_at_once(package):
    """And not again."""
    one = importlib.import_module("patched_one")
    Patches({"patched_one": set_x}).install()
    assert one.X == 2


def test_two_sets_of_patches_for_one_module(package):
    """Both are applied."""
    Patches({"patched_two": set_x}).install()
    Patches({"patched_two": lambda module: setattr(module, "Y", 3)}).install()
    two = importlib.import_module("patched_two")
    assert (two.X, two.Y) == (2, 3)


def test_the_rest_of_importing_stays(package):
    """Specs, loaders, sources and errors are those of Python; what is not to be patched is not touched."""
    Patches({"patched_two": set_x, "no_such_module": set_x}).install()
    two = importlib.import_module("patched_two")
    assert two.__spec__.origin.endswith("patched_two.py")
    assert two.__loader__.get_source("patched_two") == "X = 1\n"
    assert importlib.import_module("patched_one").X == 1
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_module'"):
        importlib.import_module("no_such_module")
