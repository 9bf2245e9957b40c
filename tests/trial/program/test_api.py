import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import orchestrator


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"loss": "0.5"}, "metric 'loss' is '0.5', not a number"),
        ({"val": {"acc": None}}, r"metric 'val\.acc' is None, not a number"),
        ({"loss": np.zeros(3)}, "metric 'loss' is array"),
        ({3: 1.0}, "names of metrics are text, not 3"),
        ([("loss", 1.0)], "takes a mapping of metrics such as"),
    ],
)
def test_what_is_no_metric_is_refused_outside_of_a_trial_too(metrics, message):
    """A mistake shows in the first run by hand, with the name and the value."""
    with pytest.raises(TypeError, match=message):
        orchestrator.report(metrics)


@pytest.mark.parametrize("step", ["3", 1.5, True])
def test_a_step_is_a_whole_number(step):
    """A step that would be silently rounded is refused."""
    with pytest.raises(TypeError, match="step of a report is a whole number"):
        orchestrator.report(loss=1.0, step=step)


def test_outside_of_a_trial_nothing_happens(tmp_path, monkeypatch):
    """A script runs by itself: every kind of number is accepted, and checkpoints have a place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_CHECKPOINT_DIR", raising=False)
    orchestrator.report(
        {"a": 1, "b": {"c": np.float32(2)}, "d": torch.ones(1, 1), "e": float("nan")}, step=np.int64(3), f=4
    )
    assert list(tmp_path.iterdir()) == []
    assert orchestrator.checkpoint_dir().resolve() == tmp_path / "checkpoints"
    assert (tmp_path / "checkpoints").is_dir()


def test_importing_the_package_imports_nothing_else():
    """`import orchestrator` in a program costs nothing, and says what it offers."""
    code = "import sys, json; import orchestrator; print(json.dumps([m for m in sys.modules if m.startswith('orchestrator')]))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(found.stdout) == ["orchestrator"]
    assert {"report", "checkpoint_dir"} <= set(dir(orchestrator))
    with pytest.raises(AttributeError, match="no attribute 'repport'"):
        _ = orchestrator.repport


def test_the_packages_names_stay_what_they_are():
    """A folder of the package that had the name of something it offers would take its place once it is imported."""
    import importlib
    import pkgutil

    for module in pkgutil.iter_modules(orchestrator.__path__):
        importlib.import_module(f"orchestrator.{module.name}")
    assert {m.name for m in pkgutil.iter_modules(orchestrator.__path__)}.isdisjoint(
        set(orchestrator.__all__) - {"wandb"}
    )
    orchestrator.report(loss=1.0)
