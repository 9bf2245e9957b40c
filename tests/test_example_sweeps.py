"""Every file in sweeps/, at a reduced size: it is valid for W&B too, it runs to its end, and its trials are complete."""

import re
from pathlib import Path

import pytest
import yaml

import orchestrator
from orchestrator.spec import load_file
from tests.scripts import run
from tests.trial_runs import tensorboard_run, wandb_run

ROOT = Path(__file__).parents[1]
SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))

REDUCED = {
    # sweep: its size here; --set reaches any key of the spec
    "ddp": ["--count=1", "--set=parameters.epochs.value=2"],
    "digits-bayes": ["--count=3", "--set=parameters.epochs.value=1", "--set=parameters.batch_size.values=[128]"],
    "digits-grid": ["--count=2", "--set=parameters.epochs.value=1"],
    "digits-hyperband": ["--count=3", "--set=parameters.epochs.value=3", "--set=early_terminate.min_iter=1"],
    "digits-nested": ["--count=2", "--set=parameters.epochs.value=1"],
    "digits-random": ["--count=2", "--set=parameters.epochs.value=1", "--set=parameters.batch_size.values=[128]"],
    "gpt-asha": ["--count=12", "--set=parameters.steps.value=1", "--set=parameters.width.values=[32]"],
    "tabular-bayes": ["--count=3", "--set=parameters.max_iter.values=[5]"],
    "tune-trainable": ["--count=2", "--set=parameters.epochs.value=2"],
}

WANDB_KEYS = {
    "program", "command", "method", "metric", "metrics", "parameters", "early_terminate", "run_cap", "name", "description",
    "project", "entity", "controller", "scheduler", "job", "image_uri", "apiVersion", "kind",
}  # fmt: skip


def test_every_sweep_is_here():
    """A new sweep needs a reduced size here, and `sweeps/` has one for each idea."""
    assert {path.stem for path in SWEEPS} == set(REDUCED)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_sweep_is_valid_for_wandb_and_says_what_it_costs(path):
    """W&B's client takes it, its schema knows every key, and nothing in it would be read differently there."""
    from wandb.apis.public.sweeps import _validate_config_and_fill_distribution

    reading = load_file(path)
    assert reading.require()
    assert not reading.warnings
    text = path.read_text()
    assert re.match(r"# \d+ trials of (about|at most) .* CPU seconds?, .*two cores", text)
    spec = yaml.safe_load(text)
    spec.pop("orchestrator", None)
    assert set(spec) <= WANDB_KEYS
    assert spec.get("early_terminate", {}).get("type", "hyperband") == "hyperband"
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name) for name in spec["parameters"])
    _validate_config_and_fill_distribution(spec)


@pytest.mark.ray
@pytest.mark.soak
@pytest.mark.parametrize("name", REDUCED)
def test_a_sweep_runs_to_its_end(name, tmp_path, ray_head):
    """Every trial has a TensorBoard run with its hyperparameters and a W&B run with config, history and its exit code."""
    command = [
        "sweep",
        "run",
        f"sweeps/{name}.yaml",
        *REDUCED[name],
        "--seed=1",
        f"--runs-dir={tmp_path}",
        f"--address={ray_head}",
    ]
    run(*command, cwd=ROOT, RAY_AUTH_MODE="disabled")
    results = orchestrator.load(runs_dir=tmp_path)
    assert {trial.state for trial in results} <= {"finished", "stopped"}, [trial.error for trial in results]
    for trial in results:
        reported = [report.metrics[results.metric] for report in trial.reports() if results.metric in report.metrics]
        logged = wandb_run(trial.path)
        assert logged.run_id == trial.run_id
        assert logged.exit_code in ({0} if trial.state == "finished" else {0, 143})  # 0: it ended before it was told
        assert {name: logged.config[name] for name in trial.config} == trial.config
        assert logged.values(results.metric) == pytest.approx(reported)
        shown = tensorboard_run(trial.path)
        assert set(flat(trial.config)) <= set(shown.hparams)
        assert [value for _, value in shown.scalars[results.metric]] == pytest.approx(reported)
    CHECKS.get(name, lambda _: None)(results)


def flat(config, prefix=""):
    for key, value in config.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def check_bad_trials_are_stopped_and_good_ones_go_on(results):
    """How many epochs that saves is the benchmark's to say: here one takes milliseconds, and a stop is some epochs late."""
    assert max(trial.history[results.metric].count() for trial in results) == 27
    assert sum(trial.state == "stopped" for trial in results) >= len(results) / 3


def check_tensorboard_has_everything(results):
    """What the program gave to its SummaryWriter beside scalars is there too."""
    tags = tensorboard_run(results[0].path).tags
    assert tags["graph"]
    assert tags["images"] == ["samples"]
    assert len(tags["histograms"]) == 8
    assert (results[0].path / "projector_config.pbtxt").exists()


def check_wandb_has_everything(results):
    """Images with captions, the model's graph and the histograms of `watch` are in the run."""
    logged = wandb_run(results[0].path)
    (images,) = logged.values("samples")
    assert images["count"] == 8
    assert "guessed" in images["captions"][0]
    assert "parameters" in str(sorted(logged.history[-1]))
    assert list(results[0].path.rglob("media/graph/graph_0*.graph.json"))


def check_one_voice(results):
    """Two processes trained; one run, with what rank 0 logged."""
    (trial,) = results
    assert wandb_run(trial.path).config["processes"] == 2
    assert len(trial.history) == 2


def check_checkpoints(results):
    """The class's last checkpoint is kept."""
    for trial in results:
        assert list((trial.path / "checkpoints").glob("checkpoint_*/**/model.pkl"))


CHECKS = {
    "gpt-asha": check_bad_trials_are_stopped_and_good_ones_go_on,
    "digits-grid": check_tensorboard_has_everything,
    "digits-random": check_wandb_has_everything,
    "ddp": check_one_voice,
    "tune-trainable": check_checkpoints,
}
