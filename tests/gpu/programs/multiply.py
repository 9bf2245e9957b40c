"""Multiply two matrices and say what came out: the GPU works."""

import torch
from device import DEVICE

from orchestrator import report

x = torch.ones(512, 512, device=DEVICE)
report({"product": (x @ x).sum().item()})
