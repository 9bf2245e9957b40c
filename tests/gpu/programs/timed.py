"""Train for as many seconds as GPU_CHECK_TRAINING_S says, and leave a line about it: the same for everybody who starts it."""

import os
import time

import torch
import wandb
from device import DEVICE


def train() -> None:
    with wandb.init(project="gpu") as run:
        x = torch.randn(256, 64, device=DEVICE)
        model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 1)).to(DEVICE)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        began, until, said = time.monotonic(), float(os.environ["GPU_CHECK_TRAINING_S"]), 0.0
        while (now := time.monotonic() - began) < until:
            loss = model(x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if now - said > 0.25:
                said = now
                run.log({"loss": loss.item()})
        run.log({"loss": loss.item()})
    with open(os.environ["GPU_CHECK_ENDS"], "a") as ends:
        ends.write(f"{time.time()}\n")


if __name__ == "__main__":
    train()
