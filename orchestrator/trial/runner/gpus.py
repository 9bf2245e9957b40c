"""What a GPU does at a moment, read through NVML, which starts no CUDA: how busy it is, its memory, its power, by whom.

NVML's Python module is `nvidia-ml-py`, or the copy that Ray carries; without a driver there is nothing to read.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

MODULES = ("pynvml", "ray._private.thirdparty.pynvml")
"""Where NVML's module is looked for."""

NOT_FOUND = 6
"""How NVML says that no process did anything since."""


@dataclass(frozen=True)
class GpuReading:
    """One GPU at a moment.

    Attributes:
        busy: Share of the last sampling period (up to a second) in which a kernel ran, in [0, 1]; None where the GPU does
            not tell (a slice of one).
        used_bytes: Memory in use, by all processes; without what the driver keeps for itself, as nvidia-smi shows it.
        total_bytes: Memory there is.
        power_w: Power draw in watts; None where the GPU does not tell.
    """

    name: str
    busy: float | None
    used_bytes: int
    total_bytes: int
    power_w: float | None


class GpuMeter:
    """Reads the GPUs of this machine by their index or UUID, as `CUDA_VISIBLE_DEVICES` names them.

    Raises:
        OSError: There is no NVML, or it does not start.
    """

    def __init__(self) -> None:
        self._nvml = _nvml()
        try:
            self._nvml.nvmlInit()
        except Exception as error:  # NVMLError comes from that module
            raise OSError(f"NVML does not start: {error}") from error

    def read(self, gpu: str) -> GpuReading:
        """Return what a GPU does now.

        Raises:
            OSError: NVML does not know it, or its driver fails.
        """
        nvml = self._nvml
        try:
            handle = self._handle(gpu)
            memory = self._memory(handle)
            name = nvml.nvmlDeviceGetName(handle)
            return GpuReading(
                name=name if isinstance(name, str) else name.decode(),
                busy=self._busy(handle),
                used_bytes=int(memory.used),
                total_bytes=int(memory.total),
                power_w=self._power_w(handle),
            )
        except nvml.NVMLError as error:
            raise OSError(f"GPU {gpu} cannot be read: {error}") from error

    def held(self, gpu: str) -> Mapping[int, int]:
        """Return the bytes that each process holds of a GPU, by pid; empty where the GPU does not tell.

        In a container the pids may be those of the machine, which mean nothing there.
        """
        try:
            running = self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle(gpu))
        except self._nvml.NVMLError:
            return {}
        return {process.pid: int(process.usedGpuMemory) for process in running if process.usedGpuMemory is not None}

    def busy_by(self, gpu: str, pids: Collection[int], since_s: float) -> float | None:
        """Return the share of the time for which processes that hold a GPU kept it busy, in [0, 1].

        Args:
            gpu: Index or UUID.
            pids: Processes as `held` names them.
            since_s: Unix time in seconds from which on it counts.

        Returns:
            None where the GPU does not tell it by process.
        """
        try:
            samples = self._nvml.nvmlDeviceGetProcessUtilization(self._handle(gpu), int(since_s * 1e6))
        except self._nvml.NVMLError as error:
            return 0.0 if getattr(error, "value", None) == NOT_FOUND else None
        except AttributeError:  # a module that is older than this call
            return None
        shares = [[sample.smUtil / 100 for sample in samples if sample.pid == pid] for pid in pids]
        return min(1.0, sum(fmean(each) for each in shares if each))

    def close(self) -> None:
        """Let go of NVML."""
        self._nvml.nvmlShutdown()

    def _handle(self, gpu: str) -> Any:
        nvml = self._nvml
        return nvml.nvmlDeviceGetHandleByIndex(int(gpu)) if gpu.isdecimal() else nvml.nvmlDeviceGetHandleByUUID(gpu)

    def _memory(self, handle: Any) -> Any:
        """Ask in the newer way, which does not count what the driver keeps as used; a driver may not have it."""
        newer = getattr(self._nvml, "nvmlMemory_v2", None)
        if newer is not None:
            try:
                return self._nvml.nvmlDeviceGetMemoryInfo(handle, version=newer)
            except self._nvml.NVMLError:
                pass
        return self._nvml.nvmlDeviceGetMemoryInfo(handle)

    def _busy(self, handle: Any) -> float | None:
        try:
            return float(self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100
        except self._nvml.NVMLError:
            return None

    def _power_w(self, handle: Any) -> float | None:
        try:
            return float(self._nvml.nvmlDeviceGetPowerUsage(handle)) / 1000
        except self._nvml.NVMLError:
            return None


def _nvml() -> Any:
    """Return NVML's module.

    Raises:
        OSError: There is none.
    """
    for name in MODULES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise OSError("reading GPUs needs NVML's module: pip install nvidia-ml-py")
