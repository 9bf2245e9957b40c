"""Train a little, the same in every process, until the file that the argument names is there."""

import sys
import time
from pathlib import Path

import torch
from device import DEVICE

from orchestrator import report

end = Path(sys.argv[1])
torch.manual_seed(0)
x = torch.randn(256, 64, device=DEVICE)
y = x[:, :8].sum(1, keepdim=True)
model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 1)).to(DEVICE)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
step, at_100, said = 0, None, 0.0
while step < 100 or not end.exists():
    loss = torch.nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    step += 1
    if step == 100:
        at_100 = loss.item()
    if time.monotonic() - said > 0.2:
        said = time.monotonic()
        report({"step": step, "loss": loss.item()})
report({"step": step, "loss": loss.item(), "at_100": at_100})
