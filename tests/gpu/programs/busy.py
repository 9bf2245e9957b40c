"""Keep the GPU busy until told to end."""

import torch
from device import DEVICE, hold, synchronize

from orchestrator import report

size = 4096 if DEVICE == "cuda" else 256
x = torch.randn(size, size, device=DEVICE)
kept = hold(1024)
report({"began": 1})
while True:
    for _ in range(50):
        x = torch.nn.functional.normalize(x @ x)
    synchronize()
