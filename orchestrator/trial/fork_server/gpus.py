"""What a GPU does at a moment, read through NVML, which starts no CUDA: how busy it is, its memory, its power.

NVML's Python module (`nvidia-ml-py`) is optional, and so is a driver: without either there is nothing to read.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import Any

CUDA_DEVICE = "/dev/nvidia-uvm"
"""What a process has open once CUDA was initialised in it, by whatever library; reading NVML does not open it."""


@dataclass(frozen=True)
class GpuReading:
    """One GPU at a moment.

    Attributes:
        busy: Share of the last sampling period (up to a second) in which a kernel ran, in [0, 1].
        used_bytes: Memory in use, by all processes.
        total_bytes: Memory there is.
        power_w: Power draw in watts; None where the GPU does not tell.
    """

    name: str
    busy: float
    used_bytes: int
    total_bytes: int
    power_w: float | None


def has_cuda(descriptors: str = "/proc/self/fd") -> bool:
    """Return whether CUDA was initialised in the process whose open files a directory lists, by whatever library."""
    for name in os.listdir(descriptors):
        try:
            if os.readlink(f"{descriptors}/{name}").startswith(CUDA_DEVICE):
                return True
        except OSError:
            continue  # closed meanwhile: the listing's own
    return False


class GpuMeter:
    """Reads the GPUs of this machine by their index or UUID, as `CUDA_VISIBLE_DEVICES` names them.

    Raises:
        OSError: There is no NVML, or it does not start.
    """

    def __init__(self) -> None:
        try:
            self._nvml = importlib.import_module("pynvml")
            self._nvml.nvmlInit()
        except ImportError as error:
            raise OSError("reading GPUs needs NVML's module: pip install nvidia-ml-py") from error
        except Exception as error:  # NVMLError comes from that module
            raise OSError(f"NVML does not start: {error}") from error

    def read(self, gpu: str) -> GpuReading:
        """Return what a GPU does now.

        Raises:
            OSError: NVML does not know it, or its driver fails.
        """
        nvml = self._nvml
        try:
            handle = (
                nvml.nvmlDeviceGetHandleByIndex(int(gpu)) if gpu.isdecimal() else nvml.nvmlDeviceGetHandleByUUID(gpu)
            )
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            name = nvml.nvmlDeviceGetName(handle)
            return GpuReading(
                name=name if isinstance(name, str) else name.decode(),
                busy=nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
                used_bytes=int(memory.used),
                total_bytes=int(memory.total),
                power_w=self._power_w(handle),
            )
        except nvml.NVMLError as error:
            raise OSError(f"GPU {gpu} cannot be read: {error}") from error

    def _power_w(self, handle: Any) -> float | None:
        try:
            return float(self._nvml.nvmlDeviceGetPowerUsage(handle)) / 1000
        except self._nvml.NVMLError:
            return None

    def close(self) -> None:
        """Let go of NVML."""
        self._nvml.nvmlShutdown()
