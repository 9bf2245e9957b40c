"""A pynvml for a process without a driver: put beside it as ``pynvml.py``, told by a file what there is."""

import json
import os
from types import SimpleNamespace


class NVMLError(Exception):
    pass


def _told():
    with open(os.path.join(os.path.dirname(__file__), "gpus.json")) as file:
        return json.load(file)


def nvmlInit():
    if "error" in _told():
        raise NVMLError(_told()["error"])


def nvmlShutdown():
    pass


def nvmlSystemGetDriverVersion():
    return b"550.54.15"


def nvmlSystemGetCudaDriverVersion():
    return 12040


def nvmlDeviceGetCount():
    return len(_told()["gpus"])


def nvmlDeviceGetHandleByIndex(index):
    return _told()["gpus"][index]


def nvmlDeviceGetUUID(gpu):
    return f"GPU-{gpu['free']}"


def nvmlDeviceGetName(gpu):
    return "NVIDIA H100 80GB HBM3"


nvmlMemory_v2 = 2


def nvmlDeviceGetMemoryInfo(gpu, version=None):
    if version is not None and gpu.get("old"):
        raise NVMLError("Argument Version Mismatch")
    total, free, kept = gpu["total"] << 30, gpu["free"] << 30, gpu.get("kept", 0) << 30
    return SimpleNamespace(total=total, free=free, used=total - free - (kept if version == nvmlMemory_v2 else 0))


def nvmlDeviceGetComputeRunningProcesses(gpu):
    if gpu.get("secret"):
        raise NVMLError("Insufficient Permissions")
    return [SimpleNamespace(pid=pid, usedGpuMemory=used << 30) for pid, used in gpu.get("processes", [])]
