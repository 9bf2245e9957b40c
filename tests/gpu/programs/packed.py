"""Train a network that leaves most of a GPU idle, for as many steps as GPU_CHECK_STEPS says."""

import os
import time

import torch
import wandb
from device import DEVICE

torch.set_num_threads(1)
run = wandb.init(project="gpu")
torch.manual_seed(0)
x, y = torch.randn(64, 1, 8, 8, device=DEVICE), torch.randint(10, (64,), device=DEVICE)
model = torch.nn.Sequential(
    torch.nn.Conv2d(1, 16, 3, padding=1),
    torch.nn.ReLU(),
    torch.nn.Conv2d(16, 32, 3, padding=1),
    torch.nn.ReLU(),
    torch.nn.Flatten(),
    torch.nn.Linear(32 * 64, 10),
).to(DEVICE)
optimizer = torch.optim.SGD(model.parameters(), lr=run.config.lr)
for step in range(int(os.environ["GPU_CHECK_STEPS"])):
    loss = torch.nn.functional.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
run.log({"loss": loss.item(), "at": time.time()})
run.finish()
