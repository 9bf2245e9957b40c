"""What the searches are compared on: four functions with known optima, two real tuning tasks from scikit-learn."""

import itertools
import math
import os
import tempfile
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Task:
    """A sweep's parameters as W&B spells them, and the loss of a config; `rng` makes a real task as noisy as it is."""

    name: str
    parameters: dict
    loss: Callable[[dict, np.random.Generator], float]
    true_loss: Callable[[dict], float]
    """The loss without noise, by which a search is judged."""


def floats(**bounds):
    return {name: {"min": float(low), "max": float(high)} for name, (low, high) in bounds.items()}


def exact(name, parameters, function):
    return Task(name, parameters, lambda config, _: function(config), function)


def branin(c):
    x, y = c["x"], c["y"]
    bowl = (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
    return bowl + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


HARTMANN_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
HARTMANN_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
HARTMANN_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann(c):
    x = np.array([c[f"x{i}"] for i in range(6)])
    return -float(HARTMANN_ALPHA @ np.exp(-(HARTMANN_A * (x - HARTMANN_P) ** 2).sum(axis=1)))


def ackley(c):
    x = np.array([c[f"x{i}"] for i in range(5)])
    waves = math.exp(np.cos(2 * math.pi * x).mean())
    return -20 * math.exp(-0.2 * math.sqrt((x**2).mean())) - waves + 20 + math.e


MIXED = {
    "lr": {"distribution": "log_uniform_values", "min": 1.0e-5, "max": 1.0},
    "dropout": {"min": 0.0, "max": 0.8},
    "depth": {"min": 1, "max": 12},
    "optimizer": {"values": ["sgd", "adam", "lion"]},
    "activation": {"values": ["relu", "gelu", "tanh", "silu"]},
}


def mixed(c):
    """A training run in one formula: the best rate depends on the optimiser, depth has an optimum that width moves."""
    best_rate = {"sgd": -1.0, "adam": -3.0, "lion": -3.7}[c["optimizer"]]
    rate = (math.log10(c["lr"]) - best_rate) ** 2
    depth = 0.05 * (c["depth"] - 6) ** 2
    penalty = {"relu": 0.15, "gelu": 0.0, "tanh": 0.4, "silu": 0.05}[c["activation"]]
    base = {"sgd": 0.2, "adam": 0.05, "lion": 0.0}[c["optimizer"]]
    return base + 0.6 * rate + depth + penalty + 2 * (c["dropout"] - 0.2) ** 2


MLP = {
    "width": [8, 16, 32, 64],
    "lr": [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
    "batch": [20, 50, 100, 250],
    "alpha": [1.0e-5, 0.01, 1.0],
    "activation": ["relu", "tanh"],
}
MLP_EPOCHS = 27
MLP_SEEDS = 2
CACHE = Path(tempfile.gettempdir()) / "sweep-benchmark-digits-mlp.npy"


def train_mlp(config, seed):
    """Return the validation error after each epoch: [MLP_EPOCHS]."""
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    train, valid = order[:500], order[500:1300]
    model = MLPClassifier(
        hidden_layer_sizes=(config["width"],),
        learning_rate_init=config["lr"],
        batch_size=config["batch"],
        alpha=config["alpha"],
        activation=config["activation"],
        random_state=seed,
    )
    errors = []
    for _ in range(MLP_EPOCHS):
        model.partial_fit(x[train] / 16, y[train], classes=range(10))
        errors.append(1 - model.score(x[valid] / 16, y[valid]))
    return errors


def mlp_table(cache: Path = CACHE) -> dict:
    """Return every config's learning curves, [MLP_SEEDS, MLP_EPOCHS]; computed once (minutes) and kept in `cache`."""
    configs = list(itertools.product(*MLP.values()))
    if not cache.exists():
        with ProcessPoolExecutor() as pool:
            curves = list(pool.map(train_all, configs, chunksize=8))
        new = cache.with_suffix(f".{os.getpid()}.npy")
        np.save(new, np.array(curves))
        new.replace(cache)
    return dict(zip(configs, np.load(cache), strict=True))


def train_all(values):
    """Return one config's learning curves, for every seed."""
    warnings.simplefilter("ignore")
    return [train_mlp(dict(zip(MLP, values, strict=True)), seed) for seed in range(MLP_SEEDS)]


def digits() -> Task:
    table = mlp_table()

    def curves(config):
        return table[tuple(config[name] for name in MLP)]

    return Task(
        "digits-mlp",
        {name: {"values": values} for name, values in MLP.items()},
        lambda config, rng: float(curves(config)[rng.integers(MLP_SEEDS)].min()),
        lambda config: float(curves(config).min(axis=1).mean()),
    )


CANCER_PARAMETERS = {
    "C": {"distribution": "log_uniform_values", "min": 1.0e-3, "max": 1.0e3},
    "gamma": {"distribution": "log_uniform_values", "min": 1.0e-5, "max": 10.0},
    "kernel": {"values": ["rbf", "poly", "sigmoid"]},
    "degree": {"min": 2, "max": 5},
    "coef0": {"min": 0.0, "max": 1.0},
    "class_weight": {"values": [None, "balanced"]},
}


def cancer_loss(config, seeds):
    """Mean cross-validated log loss surrogate (1 - accuracy of 3 folds) over shuffles of the data."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    x, y = load_breast_cancer(return_X_y=True)
    x = StandardScaler().fit_transform(x)
    model = SVC(**config, max_iter=2000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folds = [StratifiedKFold(3, shuffle=True, random_state=int(seed)) for seed in seeds]
        return 1 - float(np.mean([cross_val_score(model, x, y, cv=cv).mean() for cv in folds]))


CANCER = Task(
    "cancer-svm",
    CANCER_PARAMETERS,
    lambda config, rng: cancer_loss(config, [rng.integers(1000)]),
    lambda config: cancer_loss(config, range(5)),
)


TASKS = {
    "branin": lambda: exact("branin", floats(x=(-5, 10), y=(0, 15)), branin),
    "hartmann6": lambda: exact("hartmann6", floats(**{f"x{i}": (0, 1) for i in range(6)}), hartmann),
    "ackley5": lambda: exact("ackley5", floats(**{f"x{i}": (-20, 30) for i in range(5)}), ackley),
    "mixed": lambda: exact("mixed", MIXED, mixed),
    "digits-mlp": digits,
    "cancer-svm": lambda: CANCER,
}
"""By name, a function that makes the task: the table of digits takes minutes where it is not there yet."""
