"""What trials use is looked at while they run: real processes, GPUs as NVML would tell them."""

import time
from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest

from orchestrator.layout import TrialDir
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind
from orchestrator.trial.contract.resource_use import GpuUse, Use, last_look, looks
from orchestrator.trial.processes import family
from orchestrator.trial.runner import use_sampler
from orchestrator.trial.runner.gpus import GpuReading
from orchestrator.trial.runner.process_tree import TreeReading
from orchestrator.trial.runner.use_sampler import UseSampler, scalars_of, summed
from tests.trial.conftest import scalars

GIB = 1 << 30

BURN = """
import multiprocessing, orchestrator
def burn():
    while True: pass
if __name__ == "__main__":
    multiprocessing.get_context("fork").Process(target=burn, daemon=True).start()
    orchestrator.report(loss=1.0)
    burn()
"""


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Looks that follow each other quickly."""
    monkeypatch.setattr(use_sampler, "FIRST_S", 0.05)
    monkeypatch.setattr(use_sampler, "EVERY_S", 0.3)


class Meter:
    """NVML's answers: one GPU, which these processes hold."""

    def __init__(self, held=None, *, by_process=True, problem=None):
        self.held_by, self.by_process, self.problem, self.closed = held or {}, by_process, problem, False

    def read(self, gpu):
        if self.problem:
            raise OSError(f"GPU {gpu} cannot be read: {self.problem}")
        return GpuReading(name="A GPU", busy=0.4, used_bytes=30 * GIB, total_bytes=80 * GIB, power_w=200.0)

    def held(self, _):
        return self.held_by

    def busy_by(self, _, pids, __):
        return 0.1 * len(pids) if self.by_process else None

    def close(self):
        self.closed = True


class Tree:
    """A trial's processes, that each use half a core."""

    def __init__(self, _):
        self.at = time.monotonic()

    def look(self):
        before, self.at = self.at, time.monotonic()
        return TreeReading(pids=frozenset({7, 8}), cpu_s=self.at - before, rss_bytes=GIB)


@pytest.fixture
def a_launch(tmp_path):
    """Launches of trials by number, whose directories are there."""

    def launch(number=0, **fields):
        place = tmp_path / "s-k3x9w2ab/trials" / f"{number:04d}"
        place.mkdir(parents=True, exist_ok=True)
        return Launch(
            sweep_id="k3x9w2ab",
            sweep_name="s",
            trial=number,
            attempt=0,
            trial_dir=str(place),
            cwd=str(tmp_path),
            program=Program(kind=ProgramKind.SCRIPT, target="train.py"),
            argv=(),
            config={},
            **fields,
        )

    return launch


@pytest.fixture
def seen(monkeypatch):
    """Sample a launch with a meter until there are some looks, which are returned."""
    monkeypatch.setattr(use_sampler, "ProcessTree", Tree)

    def see(launch, meter, n=1):
        sampler = UseSampler(lambda: meter)
        sampler.begin(launch, 7)
        until = time.monotonic() + 30
        while len(found := looks(launch.dir)) < n:
            assert time.monotonic() < until
            time.sleep(0.01)
        sampler.close()
        while isinstance(meter, Meter) and launch.gpu_ids and not meter.closed:
            assert time.monotonic() < until
            time.sleep(0.01)
        return found

    return see


def test_two_processes_at_a_core_each_are_two_cores(bench, monkeypatch):
    """Of a real trial; on a machine that others load they get what the kernel says they got."""
    monkeypatch.setattr(use_sampler, "EVERY_S", 1.0)
    trial = bench.start(bench.script(BURN))
    trial.until(lambda: len(looks(place(trial))) > 2)
    used_s = sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in family(trial.started().pid))
    look = last_look(place(trial))
    trial.stop(kill=True)
    trial.ended()
    assert look.now.n_processes == 2
    assert look.so_far.cpus * look.so_far.seconds == pytest.approx(used_s, rel=0.5, abs=0.5)
    assert look.so_far.rss_bytes >= look.now.rss_bytes > 10 << 20
    assert (look.now.gpus, look.now.problem) == ((), None)
    n = len(looks(place(trial)))
    shown = scalars(trial.dir, use=True)
    assert len(shown["system/cpu.cores"]) == n
    assert {"system/proc.memory.rssMB"} == {tag for tag in shown if tag.startswith("system/")} - {"system/cpu.cores"}
    assert [set(report.metrics) for report in trial.reports] == [{"loss"}]


def test_a_trial_that_sleeps_uses_nothing(bench):
    """And one that ends before the first look has no file."""
    trial = bench.start(bench.script("import time\ntime.sleep(1000)\n"))
    trial.until(lambda: len(looks(place(trial))) > 2)
    trial.stop(kill=True)
    trial.ended()
    assert looks(place(trial))[-1].now.cpus < 0.2


def test_a_trial_that_ends_at_once_has_no_file(bench, monkeypatch):
    """Thousands of trials of a moment each are not to leave thousands of files."""
    monkeypatch.setattr(use_sampler, "FIRST_S", 60.0)
    trial = bench.run(bench.script("print(1)\n"))
    assert not place(trial).use_path.exists()


def test_a_command_of_which_tensorboards_files_are_read_reports_none_of_it(bench):
    """What is written here is no metric of the program's."""
    code = "import time; time.sleep(1000)"
    trial = bench.start(["python3", "-c", code], kind=ProgramKind.COMMAND)
    trial.until(lambda: len(looks(place(trial))) > 2)
    trial.stop(kill=True)
    trial.ended()
    assert trial.reports == []


@pytest.mark.parametrize(
    ("meter", "share", "expected"),
    [
        (Meter({7: 2 * GIB, 8: GIB, 99: GIB}), 1.0, (0.4, 3 * GIB)),
        (Meter({7: 2 * GIB, 99: GIB}), 0.5, (0.1, 2 * GIB)),
        (Meter({7: 2 * GIB}, by_process=False), 0.5, (None, 2 * GIB)),
        (Meter({99: GIB}), 0.5, (None, None)),
        (Meter(), 1.0, (0.4, None)),
    ],
    ids=["own processes", "shared", "shared, not told by process", "pids of another namespace", "no pids"],
)
def test_a_gpu_is_the_trials_as_far_as_that_can_be_told(a_launch, seen, meter, share, expected):
    """Memory by process where pids are known; how busy by process where others share the GPU."""
    gpu = seen(a_launch(gpu_ids=("0",), gpu_share=share), meter)[0].now.gpus[0]
    assert (gpu.own_busy, gpu.own_bytes) == expected
    assert (gpu.busy, gpu.used_bytes, gpu.total_bytes, gpu.power_w) == (0.4, 30 * GIB, 80 * GIB, 200.0)


def test_where_gpus_cannot_be_read_it_says_why(a_launch, seen):
    """No NVML, asked for once; or a GPU that fails, which is asked for again."""
    opened = []

    def fail():
        opened.append(1)
        raise OSError("NVML does not start: Driver Not Loaded")

    sampler = UseSampler(fail)
    tree = TreeReading(pids=frozenset({7}), cpu_s=0.0, rss_bytes=0)
    for _ in range(2):
        assert sampler._gpus(a_launch(gpu_ids=("0", "1")), tree.pids, 0.0) == (
            (),
            "NVML does not start: Driver Not Loaded",
        )
    assert opened == [1]
    assert sampler._gpus(a_launch(gpu_ids=()), tree.pids, 0.0) == ((), None)
    assert (
        seen(a_launch(gpu_ids=("3",)), Meter(problem="GPU is lost"))[0].so_far.problem
        == "GPU 3 cannot be read: GPU is lost"
    )


def test_nothing_is_written_once_a_trial_has_ended(a_launch, monkeypatch):
    """Its files may be on their way elsewhere by then."""
    monkeypatch.setattr(use_sampler, "ProcessTree", Tree)
    launch, sampler = a_launch(), UseSampler(Meter)
    sampler.begin(launch, 7)
    watched = sampler._watched[0, 0]
    sampler.end(0, 0)
    sampler._look((0, 0), watched)
    sampler.close()
    assert looks(launch.dir) == []


def test_a_disk_that_is_full_ends_nothing(a_launch, seen, monkeypatch):
    """What cannot be written is left out, and the next look comes."""
    launch = a_launch()
    launch.dir.use_path.mkdir()
    monkeypatch.setattr(use_sampler, "looks", lambda _: [], raising=False)
    sampler = UseSampler(Meter)
    sampler.begin(launch, 7)
    watched, until = sampler._watched[0, 0], time.monotonic() + 30
    while watched.so_far is None or watched.so_far.n_looks < 2:
        assert time.monotonic() < until
        time.sleep(0.01)
    sampler.close()


def test_a_long_trial_is_looked_at_less_often(a_launch, monkeypatch):
    """After an hour every ten seconds, after a month every two hours."""
    monkeypatch.setattr(use_sampler, "ProcessTree", Tree)
    monkeypatch.setattr(use_sampler, "FIRST_S", 1.0)
    monkeypatch.setattr(use_sampler, "EVERY_S", 10.0)
    clock = SimpleNamespace(monotonic=lambda: clock.at, time=lambda: 0.0, at=0.0)
    monkeypatch.setattr(use_sampler, "time", clock)
    launch, sampler = a_launch(), UseSampler(Meter)
    watched = use_sampler._Watched(launch=launch, tree=Tree(7), began_s=0.0, looked_s=0.0, next_s=1.0)
    sampler._watched[0, 0] = watched
    while watched.next_s < 30 * 86400:
        clock.at = watched.next_s
        sampler._look((0, 0), watched)
    found = looks(launch.dir)
    assert [look.now.seconds for look in found[:4]] == [1.0, 10.0, 20.0, 30.0]
    assert 2000 < len(found) < 3000
    assert launch.dir.use_path.stat().st_size < 2 << 20
    sampler.close()


def test_what_it_comes_to_is_weighed_by_time():
    """Means of what varies, the most of memory; a GPU that was read once stays."""
    gpu = GpuUse(gpu="0", busy=1.0, own_busy=None, used_bytes=5, own_bytes=None, total_bytes=9, power_w=None)
    first = Use(n_looks=1, seconds=1.0, cpus=2.0, rss_bytes=7, n_processes=3, gpus=(gpu,))
    other = replace(gpu, busy=0.0, own_busy=0.5, used_bytes=3, own_bytes=2, power_w=100.0)
    now = Use(n_looks=2, seconds=10.0, cpus=1.0, rss_bytes=9, n_processes=1, gpus=(other,))
    both = summed(first, now, 9.0)
    assert (both.n_looks, both.seconds, both.rss_bytes, both.n_processes) == (2, 10.0, 9, 3)
    assert both.cpus == pytest.approx(1.1)
    assert both.gpus == (replace(other, busy=0.1, used_bytes=5),)
    lost = summed(both, replace(now, gpus=(), problem="gone"), 1.0)
    assert (lost.gpus, lost.problem) == (both.gpus, None)
    assert summed(lost, replace(now, gpus=(replace(gpu, busy=None),)), 1.0).gpus[0].busy == 0.1


def test_tensorboard_has_wandbs_names():
    """A GPU that is named by a UUID by its place."""
    gpu = GpuUse(gpu="3", busy=0.5, own_busy=0.5, used_bytes=5, own_bytes=4, total_bytes=9, power_w=70.0)
    use = Use(
        n_looks=1, seconds=1.0, cpus=2.0, rss_bytes=7e6, n_processes=3, gpus=(gpu, replace(gpu, gpu="MIG-x", busy=None))
    )
    assert scalars_of(use) == {
        "system/cpu.cores": 2.0,
        "system/proc.memory.rssMB": 7.0,
        "system/gpu.3.gpu": 50.0,
        "system/gpu.3.memoryAllocatedBytes": 5,
        "system/gpu.process.3.memoryAllocatedBytes": 4,
        "system/gpu.3.powerWatts": 70.0,
        "system/gpu.1.memoryAllocatedBytes": 5,
        "system/gpu.process.1.memoryAllocatedBytes": 4,
        "system/gpu.1.powerWatts": 70.0,
    }


def place(trial):
    """The directory of a bench's trial, in a directory that counts as a sweep's."""
    return TrialDir(trial.dir)
