"""GPUs are read through NVML's own functions, here those of a module that stands in for it."""

import sys
from types import SimpleNamespace

import pytest

from orchestrator.trial.fork_server.gpus import GpuMeter, GpuReading, has_cuda


@pytest.mark.parametrize(
    ("device", "expected"), [("/dev/nvidia-uvm", True), ("/dev/nvidiactl", False), ("/dev/null", False)]
)
def test_cuda_is_known_by_the_memory_device_that_it_has_open(tmp_path, device, expected):
    """Reading NVML opens the control device alone."""
    (tmp_path / "3").symlink_to(device)
    (tmp_path / "4").symlink_to("/dev/null")
    (tmp_path / "5").write_text("closed meanwhile")
    assert has_cuda(str(tmp_path)) == expected
    assert not has_cuda()


class Error(Exception):
    pass


def nvml(**changes):
    """A module with the functions of NVML that are called, for one GPU with the index 3."""
    calls = []

    def handle(found, wanted):
        if found != wanted:
            raise Error("Not Found")
        return "handle"

    functions = {
        "nvmlInit": lambda: calls.append("init"),
        "nvmlShutdown": lambda: calls.append("shutdown"),
        "nvmlDeviceGetHandleByIndex": lambda index: handle(index, 3),
        "nvmlDeviceGetHandleByUUID": lambda uuid: handle(uuid, "GPU-abc"),
        "nvmlDeviceGetName": lambda _: "A GPU",
        "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(used=5 << 30, total=80 << 30),
        "nvmlDeviceGetUtilizationRates": lambda _: SimpleNamespace(gpu=42),
        "nvmlDeviceGetPowerUsage": lambda _: 312_500,
        "NVMLError": Error,
        "calls": calls,
    }
    return SimpleNamespace(**functions | changes)


@pytest.fixture
def install(monkeypatch):
    return lambda module: monkeypatch.setitem(sys.modules, "pynvml", module)


@pytest.mark.parametrize("gpu", ["3", "GPU-abc"])
def test_a_gpu_is_read_by_index_and_by_uuid(install, gpu):
    """In shares, bytes and watts."""
    module = nvml()
    install(module)
    meter = GpuMeter()
    expected = GpuReading(name="A GPU", busy=0.42, used_bytes=5 << 30, total_bytes=80 << 30, power_w=312.5)
    assert meter.read(gpu) == expected
    meter.close()
    assert module.calls == ["init", "shutdown"]


def test_a_gpu_that_tells_no_power_is_read_without(install):
    """Older and virtual ones do not."""

    def unsupported(_):
        raise Error("Not Supported")

    install(nvml(nvmlDeviceGetPowerUsage=unsupported, nvmlDeviceGetName=lambda _: b"A GPU"))
    reading = GpuMeter().read("3")
    assert reading.power_w is None
    assert reading.name == "A GPU"


def test_what_cannot_be_read_says_which_and_why(install):
    """An unknown GPU, a driver that is not there, a module that is not installed."""

    def fail():
        raise Error("Driver Not Loaded")

    install(nvml())
    with pytest.raises(OSError, match="GPU 7 cannot be read: Not Found"):
        GpuMeter().read("7")
    install(nvml(nvmlInit=fail))
    with pytest.raises(OSError, match="NVML does not start: Driver Not Loaded"):
        GpuMeter()
    install(None)
    with pytest.raises(OSError, match="pip install nvidia-ml-py"):
        GpuMeter()
