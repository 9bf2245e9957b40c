"""Use the GPU for a second, and leave a line that says when and in which sweep."""

import os
import time

import torch
from device import DEVICE, first_op

from orchestrator import report

began = time.time()
total = first_op()
while time.time() - began < 1.0:
    total = torch.ones(256, 256, device=DEVICE).sum().item()
with open(os.path.join(os.environ["SWEEP_LOCK_DIR"], "turns.log"), "a") as log:
    log.write(f"{os.environ['SWEEP_ID']} {began} {time.time()}\n")
report({"total": total})
