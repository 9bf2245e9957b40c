"""What the programs do on the GPU, and what stands for it in a dry run on the CPU (GPU_CHECK_DEVICE=cpu)."""

import os
import signal
import sys
import time
from pathlib import Path

import torch

DEVICE = os.environ.get("GPU_CHECK_DEVICE", "cuda")
MIB = 1 << 20


def first_op() -> float:
    """Do one operation on the device, its start included."""
    return torch.ones(8, device=DEVICE).sum().item()


def hold(mib: int) -> torch.Tensor:
    """Take memory of the device, for as long as the result is kept."""
    if DEVICE == "cuda":
        return torch.ones(mib * MIB, dtype=torch.uint8, device="cuda")
    _registry().hold(mib * MIB)
    return torch.ones(1)


def fill() -> None:
    """Take memory until there is none."""
    if DEVICE == "cpu":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 4.00 GiB. (dry run)")
    kept = []
    for mib in (4096, 256, 32):
        try:
            while True:
                kept.append(torch.empty(mib * MIB, dtype=torch.uint8, device="cuda"))
        except torch.OutOfMemoryError:
            if mib == 32:
                raise


def ask_too_much() -> None:
    """Ask for more memory than any GPU has."""
    if DEVICE == "cpu":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8192.00 GiB. (dry run)")
    torch.empty(8 << 40, dtype=torch.uint8, device="cuda")


def access_illegally() -> None:
    """Write where this process may not."""
    if DEVICE == "cpu":
        raise RuntimeError("CUDA error: an illegal memory access was encountered (dry run)")
    from kernels import write_far_away

    write_far_away()
    torch.cuda.synchronize()


def hang() -> None:
    """Never come back, deaf to SIGTERM: the kernel runs, and Python waits for it inside a C function."""
    if DEVICE == "cpu":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(1)
    torch.cuda._sleep(10**17)
    torch.cuda.synchronize()


def synchronize() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def has_cuda_open(pid: int | str = "self") -> bool:
    """Whether CUDA was initialised in a process: the driver's memory device is open in it."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(entry).startswith("/dev/nvidia-uvm"):
                return True
        except OSError:
            continue
    return False


def _registry():
    sys.path.append(str(Path(__file__).parent / "fake"))
    import registry

    return registry
