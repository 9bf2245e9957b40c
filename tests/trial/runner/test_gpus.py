"""GPUs are read through NVML's own functions, here those of a module that stands in for it."""

import sys
from types import SimpleNamespace

import pytest

from orchestrator.trial.runner.gpus import NOT_FOUND, GpuMeter, GpuReading


class Error(Exception):
    """As NVML's: the number of what went wrong, where a test gives one."""

    @property
    def value(self):
        return next((each for each in self.args if isinstance(each, int)), None)


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


def refuse(*_):
    raise Error("Not Supported")


@pytest.fixture
def install(monkeypatch):
    return lambda module: monkeypatch.setitem(sys.modules, "pynvml", module)


def by_version(_, version=None):
    """On an H200 the older call counts 615 MiB of the driver's own as used."""
    return SimpleNamespace(used=(5 << 30) + (0 if version else 615 << 20), total=80 << 30)


def only_older(_, version=None):
    return refuse() if version else SimpleNamespace(used=5 << 30, total=80 << 30)


@pytest.mark.parametrize("memory", [by_version, only_older])
def test_memory_that_the_driver_keeps_is_not_used(install, memory):
    """As nvidia-smi counts; a driver that lacks the newer call is asked as before."""
    install(nvml(nvmlMemory_v2=2, nvmlDeviceGetMemoryInfo=memory))
    assert GpuMeter().read("3").used_bytes == 5 << 30


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
    install(nvml(nvmlDeviceGetPowerUsage=refuse, nvmlDeviceGetName=lambda _: b"A GPU"))
    reading = GpuMeter().read("3")
    assert reading.power_w is None
    assert reading.name == "A GPU"


def test_what_cannot_be_read_says_which_and_why(install, monkeypatch):
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
    monkeypatch.setitem(sys.modules, "ray._private.thirdparty.pynvml", None)
    with pytest.raises(OSError, match="pip install nvidia-ml-py"):
        GpuMeter()


def test_without_its_own_module_rays_is_taken(install, monkeypatch):
    """Every worker has Ray, and with it a copy."""
    install(None)
    monkeypatch.setitem(sys.modules, "ray._private.thirdparty.pynvml", nvml())
    assert GpuMeter().read("3").name == "A GPU"


def test_a_slice_of_a_gpu_tells_its_memory_alone(install):
    """MIG knows no utilisation."""
    install(nvml(nvmlDeviceGetUtilizationRates=refuse))
    reading = GpuMeter().read("3")
    assert (reading.busy, reading.used_bytes) == (None, 5 << 30)


def test_processes_have_their_memory(install):
    """What does not tell its own is left out; a GPU that tells nothing has none."""
    running = [SimpleNamespace(pid=7, usedGpuMemory=3 << 30), SimpleNamespace(pid=8, usedGpuMemory=None)]
    install(nvml(nvmlDeviceGetComputeRunningProcesses=lambda _: running))
    assert GpuMeter().held("3") == {7: 3 << 30}
    install(nvml(nvmlDeviceGetComputeRunningProcesses=refuse))
    assert GpuMeter().held("3") == {}


@pytest.mark.parametrize(
    ("pids", "expected"), [([7], 0.3), ([7, 8], 0.8), ([9], 0.0), ([7, 8, 10], 1.0)], ids=["one", "two", "idle", "most"]
)
def test_processes_have_their_share_of_a_gpus_time(install, pids, expected):
    """The mean of a process's samples since a moment, which NVML has in microseconds; of several the sum."""
    samples = [SimpleNamespace(pid=pid, smUtil=busy) for pid, busy in [(7, 20), (7, 40), (8, 50), (10, 90)]]
    asked = []
    install(nvml(nvmlDeviceGetProcessUtilization=lambda _, since: asked.append(since) or samples))
    assert GpuMeter().busy_by("3", pids, 5.5) == pytest.approx(expected)
    assert asked == [5_500_000]


@pytest.mark.parametrize(("answer", "expected"), [(NOT_FOUND, 0.0), (3, None)], ids=["nothing since", "not supported"])
def test_no_samples_are_not_the_same_as_none_that_are_told(install, answer, expected):
    """NVML has an error for both; a module from before that call has neither."""

    def fail(*_):
        raise Error(answer)

    install(nvml(nvmlDeviceGetProcessUtilization=fail))
    assert GpuMeter().busy_by("3", [7], 0.0) == expected
    install(nvml())
    assert GpuMeter().busy_by("3", [7], 0.0) is None
