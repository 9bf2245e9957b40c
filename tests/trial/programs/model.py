"""A small network and its training, for the programs beside this file."""

import torch
from torch import nn


def epochs(lr=0.1, n=5, seed=0):
    """Train; yield (step, metrics), a NaN and an infinity among them."""
    torch.manual_seed(seed)
    x = torch.randn(64, 4)
    y = (x.sum(1) > 0).long()
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for step in range(n):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        accuracy = (model(x).argmax(1) == y).float().mean()
        odd = float("nan") if step == 1 else float("-inf") if step == 2 else 1e-7 * step
        yield step, {"loss": loss.item(), "acc": accuracy, "odd": odd}
