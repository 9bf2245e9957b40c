"""What the digits programs share: the 1,797 images of scikit-learn's digits, a small CNN, and one epoch of training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
N_CLASSES = 10


@dataclass(frozen=True)
class Split:
    """Images of shape [n, 1, 8, 8] in [0, 1] and labels of shape [n]."""

    images: torch.Tensor
    labels: torch.Tensor


def load(seed: int = 0) -> tuple[Split, Split]:
    """Return the training (80 %) and validation (20 %) images, split the same way for every trial."""
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(data.target)
    train, valid = train_test_split(torch.arange(len(labels)), test_size=0.2, stratify=labels, random_state=seed)
    return tuple(Split(images[part].to(DEVICE), labels[part].to(DEVICE)) for part in (train, valid))


def build(width: int = 32, dropout: float = 0.2) -> nn.Module:
    """Return a CNN with two convolutions of `width` and twice `width` channels: [n, 1, 8, 8] -> [n, 10]."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(2 * width * 16, 64),
        nn.ReLU(),
        nn.Linear(64, N_CLASSES),
    ).to(DEVICE)


def optimizer_for(model: nn.Module, config: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Return the optimizer that the config names: ``adam`` or ``sgd``, with ``lr`` and ``weight_decay``."""
    decay = config.get("weight_decay", 0.0)
    if config.get("optimizer", "adam") == "sgd":
        return torch.optim.SGD(model.parameters(), lr=config["lr"], momentum=0.9, weight_decay=decay)
    return torch.optim.AdamW(model.parameters(), lr=config["lr"], weight_decay=decay)


def train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, data: Split, batch_size: int
) -> tuple[float, float]:
    """Train on every image once, in random order; return the mean loss and the accuracy while training."""
    model.train()
    total, correct = 0.0, 0
    for batch in torch.randperm(len(data.labels)).split(batch_size):
        logits = model(data.images[batch])
        loss = nn.functional.cross_entropy(logits, data.labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
        correct += (logits.argmax(1) == data.labels[batch]).sum().item()
    return total / len(data.labels), correct / len(data.labels)


@torch.no_grad()
def evaluate(model: nn.Module, data: Split) -> tuple[float, float]:
    """Return the mean loss and the accuracy on data the model was not trained on."""
    model.eval()
    logits = model(data.images)
    loss = nn.functional.cross_entropy(logits, data.labels).item()
    return loss, (logits.argmax(1) == data.labels).float().mean().item()
