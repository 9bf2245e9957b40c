"""Whether CUDA runs in a process, by what it has open."""

from __future__ import annotations

import os

CUDA_DEVICE = "/dev/nvidia-uvm"
"""What a process has open once CUDA was initialised in it, by whatever library; reading NVML does not open it."""


def has_cuda(descriptors: str = "/proc/self/fd") -> bool:
    """Return whether CUDA was initialised in the process whose open files a directory lists, by whatever library."""
    for name in os.listdir(descriptors):
        try:
            if os.readlink(f"{descriptors}/{name}").startswith(CUDA_DEVICE):
                return True
        except OSError:
            continue  # closed meanwhile: the listing's own
    return False
