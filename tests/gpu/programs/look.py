"""Say which GPUs this trial sees, and what its server has done with them."""

import json
import os
import time
from pathlib import Path

import torch
from device import DEVICE, first_op, has_cuda_open

from orchestrator import report

seen = {
    "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
    "inherited_cuda": torch.cuda.is_initialized() or has_cuda_open(),
    "server_has_cuda": has_cuda_open(os.getppid()),
    "server": os.getppid(),
}
first_op()
seen["n_gpus"] = torch.cuda.device_count() if DEVICE == "cuda" else 1
seen["uuid"] = str(torch.cuda.get_device_properties(0).uuid) if DEVICE == "cuda" else "dry"
seen["own_has_cuda"] = has_cuda_open()
began = time.monotonic()
while time.monotonic() - began < 2.0:
    x = torch.ones(256, 256, device=DEVICE)
    total = (x @ x).sum().item()
Path(os.environ["SWEEP_TRIAL_DIR"], "look.json").write_text(json.dumps(seen))
report({"total": total})
