"""Ray Tune's two kinds of programs on the digits: a Trainable class with checkpoints, and a function that reports."""

import pickle
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ray import tune
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

CLASSES = np.arange(10)


def load() -> list[np.ndarray]:
    """Return training images, validation images, training labels and validation labels, images as [n, 64] in [0, 1]."""
    images, labels = load_digits(return_X_y=True)
    return train_test_split(images / 16, labels, test_size=0.2, stratify=labels, random_state=0)


def build(config: Mapping[str, Any]) -> MLPClassifier:
    """Return the perceptron that the config describes."""
    return MLPClassifier(
        hidden_layer_sizes=(config["hidden"],),
        learning_rate_init=config["lr"],
        alpha=config["alpha"],
        random_state=0,
    )


def save(state: Any, path: Path) -> None:
    """Write a state so that equal states are equal files, whether they were read back before or not."""
    with path.open("wb") as file:
        pickler = pickle.Pickler(file)
        pickler.fast = True  # no marks for what is the same object: they tell only how the state came about
        pickler.dump(state)


def restore(path: Path) -> Any:
    """Read a state back."""
    return pickle.loads(path.read_bytes())  # noqa: S301 - written by `save`


class Digits(tune.Trainable):
    """A trial that can be stopped after any epoch and continued from its checkpoint on another machine."""

    def setup(self, config: dict[str, Any]) -> None:
        """Load the data; start from random weights."""
        self.train_images, self.valid_images, self.train_labels, self.valid_labels = load()
        self.model = build(config)
        self.epochs = config.get("epochs", 10)

    def step(self) -> dict[str, Any]:
        """Train one epoch."""
        self.model.partial_fit(self.train_images, self.train_labels, classes=CLASSES)
        accuracy = self.model.score(self.valid_images, self.valid_labels)
        return {"loss": self.model.loss_, "accuracy": accuracy, "done": self.iteration + 1 >= self.epochs}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the weights and the optimizer's state."""
        save(self.model, Path(checkpoint_dir, "model.pkl"))

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Read them back."""
        self.model = restore(Path(checkpoint_dir, "model.pkl"))


def train(config: dict[str, Any]) -> None:
    """Do the same as a function that reports every epoch, with a checkpoint that it starts from if there is one."""
    train_images, valid_images, train_labels, valid_labels = load()
    model, epoch = build(config), 0
    checkpoint = tune.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as directory:
            model, epoch = restore(Path(directory, "model.pkl"))
    while epoch < config.get("epochs", 10):
        model.partial_fit(train_images, train_labels, classes=CLASSES)
        epoch += 1
        row = {"loss": model.loss_, "accuracy": model.score(valid_images, valid_labels)}
        with tempfile.TemporaryDirectory() as directory:
            save((model, epoch), Path(directory, "model.pkl"))
            tune.report(row, checkpoint=tune.Checkpoint.from_directory(directory))


if __name__ == "__main__":
    trial = Digits(config={"hidden": 64, "lr": 0.003, "alpha": 0.0001, "epochs": 5})
    result = trial.train()
    while not result["done"]:
        result = trial.train()
    trial.stop()
    print(f"validation accuracy {result['accuracy']:.4f}")
