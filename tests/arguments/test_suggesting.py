"""Ranges by name, default and choices: what a practitioner would write first."""

import pytest

from orchestrator.arguments.model import Argument, Kind
from orchestrator.arguments.suggesting import suggest

LOG = "log_uniform_values"


def argument(name, default=None, kind=Kind.NUMBER, **more):
    return Argument(name=name, options=(name,), kind=kind, default=default, **more)


@pytest.mark.parametrize(
    ("name", "default", "expected"),
    [
        ("lr", 0.001, {"distribution": LOG, "min": 0.0001, "max": 0.01}),
        ("learning-rate", 3e-4, {"distribution": LOG, "min": 1e-05, "max": 0.01}),
        ("optimizer.lr", None, {"distribution": LOG, "min": 0.0001, "max": 0.01}),
        ("weight_decay", 0, {"distribution": LOG, "min": 1e-06, "max": 0.01}),
        ("dropout", 0.1, {"min": 0.0, "max": 0.5}),
        ("attn_dropout_rate", 0.6, {"min": 0.0, "max": 0.9}),
        ("momentum", 0.9, {"min": 0.8, "max": 0.99}),
        ("beta2", 0.98, {"values": [0.95, 0.98, 0.99, 0.999]}),
        ("label-smoothing", 0.0, {"min": 0.0, "max": 0.2}),
        ("gamma", 0.99, {"min": 0.95, "max": 1.0}),
        ("warmup_steps", 500, {"values": [0, 500, 2000]}),
        ("batch_size", 64, {"values": [16, 32, 64, 128]}),
        ("train.batch-size", 1, {"values": [1, 2]}),
        ("hidden_dim", 100, {"values": [50, 100, 200, 400]}),
        ("num_layers", 4, {"min": 2, "max": 8}),
        ("lora_r", 8, {"values": [4, 8, 16, 32]}),
    ],
)
def test_a_name_speaks_for_a_range(name, default, expected):
    """The default is inside of it, or near where it has none."""
    (found,) = suggest([argument(name, default)])
    assert (found.range, found.is_tuned) == (expected, True)


@pytest.mark.parametrize(
    "name",
    ["seed", "epochs", "max_steps", "num_workers", "log_interval", "n_classes", "vocab_size", "lr_decay_steps", "gpu"],
)
def test_what_says_where_or_how_long_is_not_tuned(name):
    """Beside a learning rate it is not even a remark."""
    assert [each.name for each in suggest([argument("lr", 0.1), argument(name, 3, Kind.INTEGER)])] == ["lr"]


def test_choices_of_a_method_are_tuned_and_others_are_remarks():
    """An optimizer is; a dataset is for the user to say."""
    found = suggest(
        [
            argument("optim", "sgd", Kind.TEXT, choices=("sgd", "adam")),
            argument("data", choices=("a", "b"), kind=Kind.TEXT),
        ]
    )
    assert [(each.name, each.range, each.is_tuned) for each in found] == [
        ("optim", {"values": ["sgd", "adam"]}, True),
        ("data", {"values": ["a", "b"]}, False),
    ]


def test_numbers_without_a_telling_name_are_remarks_unless_there_is_nothing_else():
    """Of a script of one's own the names say little."""
    odd = argument("zeta", 0.3)
    assert [each.is_tuned for each in suggest([argument("lr", 0.1), odd])] == [True, False]
    (alone,) = suggest([odd])
    assert (alone.range, alone.is_tuned) == ({"min": 0.1, "max": 0.9}, True)


def test_what_the_script_needs_stands_in_the_spec():
    """With a value that its user has to write."""
    found = suggest([argument("lr", 0.1), argument("data-dir", kind=Kind.TEXT, required=True)])
    assert (found[1].range, found[1].is_tuned, found[1].varies) == ({"value": "CHANGE-ME"}, True, False)
