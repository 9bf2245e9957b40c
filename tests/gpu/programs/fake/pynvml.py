"""Stands in for NVML's module where there is no GPU: the functions that we call, on the fake GPU of `registry`."""

import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.append(str(Path(__file__).parent))
import registry


class NVMLError(Exception):
    pass


def nvmlInit():
    registry.directory().mkdir(parents=True, exist_ok=True)


def nvmlShutdown():
    pass


def nvmlDeviceGetHandleByIndex(index):
    if index != 0:
        raise NVMLError("Invalid Argument")
    return "fake"


def nvmlDeviceGetHandleByUUID(uuid):
    raise NVMLError("Not Found")


def nvmlDeviceGetName(handle):
    return registry.NAME


def nvmlDeviceGetMemoryInfo(handle):
    return SimpleNamespace(used=registry.used(), total=registry.TOTAL)


def nvmlDeviceGetUtilizationRates(handle):
    return SimpleNamespace(gpu=90 if registry.busy() else 0)


def nvmlDeviceGetPowerUsage(handle):
    return 300_000 if registry.busy() else 70_000


def nvmlSystemGetDriverVersion():
    return "no driver"
