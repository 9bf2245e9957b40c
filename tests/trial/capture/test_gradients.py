import gc
import importlib
import math

import pytest
import torch
from torch import nn

from orchestrator.trial.capture.gradients import FIRST_GUESS_COLD_S, SHARE, GradientWatch, grouped
from orchestrator.trial.capture.guard import Guard
from orchestrator.trial.contract.watched import NORM, SPREAD

optimizers = importlib.import_module("torch.optim.optimizer")


class Clock:
    """Seconds that pass when a test says so, and while a sample is logged."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watched(clock):
    """A function: start to watch; return the samples. `cost_s` is what each takes."""
    handles = []

    def start(cost_s=0.0):
        samples = []

        def log(sample, n_steps):
            clock.now += cost_s
            samples.append((n_steps, dict(sample)))

        guard = Guard()
        handles.append(GradientWatch(log, guard.quietly, clock).watch(optimizers))
        return samples

    yield start
    for handle in handles:
        handle.remove()


def train(model, clock, n_steps, every_s, optimizer=None):
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=1e-3)
    for _ in range(n_steps):
        optimizer.zero_grad()
        model(torch.ones(4, 3)).sum().backward()
        optimizer.step()
        clock.now += every_s


def test_norms_are_those_of_the_weight_matrices_by_layer(watched, clock):
    """Names as the model calls them, biases left out, L2 norms over the gradients that are about to be applied."""
    samples = watched()
    model = nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5), nn.Linear(5, 1))
    train(model, clock, 2, every_s=10.0)
    (n_steps, sample), norms = samples[0], [model[i].weight.grad.norm().item() for i in (0, 2)]
    assert n_steps == 2
    assert sample["watch/gradients/0"] == pytest.approx(norms[0])
    assert sample["watch/gradients/2"] == pytest.approx(norms[1])
    assert sample[NORM] == pytest.approx(math.hypot(*norms))
    assert sample[SPREAD] == pytest.approx(min(norms) / max(norms))
    assert set(sample) == {
        NORM,
        SPREAD,
        *(f"watch/{what}/{layer}" for what in ("gradients", "weights") for layer in "02"),
    }


def test_a_gradient_that_is_no_number_has_no_spread(watched, clock):
    """Of the layers that are left, none is small beside another."""
    samples = watched()
    model = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 1))
    model[1].weight.register_hook(lambda gradient: gradient * math.nan)
    train(model, clock, 2, every_s=10.0)
    (_, sample) = samples[0]
    assert math.isnan(sample[NORM])
    assert SPREAD not in sample


@pytest.mark.parametrize("cost_s", [0.001, 0.05, 2.0])
def test_sampling_stays_within_its_share_of_the_time(watched, clock, cost_s):
    """However long a sample takes; the first one is waited for as long as it may cost."""
    samples = watched(cost_s)
    model = nn.Linear(3, 1)
    train(model, clock, 3000, every_s=0.5)
    assert samples
    assert len(samples) * cost_s <= SHARE * 1500 + cost_s
    assert samples[0][0] * 0.5 >= (0 if gc.get_freeze_count() else FIRST_GUESS_COLD_S / SHARE)


def test_long_trainings_have_a_bounded_number_of_samples(watched, clock):
    """A week of training is not a million rows."""
    samples = watched()
    train(nn.Linear(3, 1), clock, 5000, every_s=120.0)
    assert 200 < len(samples) < 2500


def test_what_cannot_be_measured_is_left_alone(watched, clock):
    """Sparse gradients, no gradients, complex ones and parameters without a module."""
    samples = watched()
    table = nn.Embedding(10, 3, sparse=True)
    optimizer = torch.optim.SGD([*table.parameters(), torch.ones(2, 2, requires_grad=True)], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        table(torch.tensor([1])).sum().backward()
        optimizer.step()
        clock.now += 100.0
    assert samples == []
    free = torch.ones(2, 2, requires_grad=True)
    train(lambda x: x[:, :2] @ free, clock, 2, every_s=100.0, optimizer=torch.optim.SGD([free], lr=0.1))
    assert "watch/gradients/parameter0" in samples[0][1]


def test_what_goes_wrong_is_a_warning_in_the_log_and_no_error_of_the_training(watched, clock, capfd):
    """A module that was never begun has no inner ones to be asked for; nothing is measured then."""
    samples = watched()
    never_begun = nn.Linear.__new__(nn.Linear)
    train(nn.Linear(3, 2), clock, 20, 1.0)
    assert samples == []
    assert capfd.readouterr().err.count("not everything is captured: AttributeError") == 1
    del never_begun


def test_many_layers_are_put_together_by_the_beginning_of_their_names():
    """A deep model has a bounded number of curves."""
    names = [f"blocks.{block}.{part}" for block in range(40) for part in ("attention.query", "attention.key", "mlp")]
    layers = grouped(names, 48)
    assert len(layers) == 40
    assert layers["blocks.7"] == [21, 22, 23]
    assert sorted(i for members in layers.values() for i in members) == list(range(120))
    assert list(grouped([f"layer{i}" for i in range(60)], 48)) == ["all"]
