"""What runs on nodes is the controller's code, whatever is installed there."""

import contextlib
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.execution.ray import carried, package
from orchestrator.execution.ray.carried import unpacked
from orchestrator.execution.ray.pool import RayPool
from orchestrator.interpreters.probe import own
from orchestrator.spec.model import Resources
from orchestrator.trial.contract.events import Cause, Ended, Reported
from orchestrator.trial.contract.launch import Program, ProgramKind
from tests.execution.conftest import Watch, build_launch
from tests.scripts import a_head, environment
from tests.trial.conftest import a_wandb_run


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The user's cache and the folder for temporary files of a node."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(carried.tempfile, "tempdir", str(tmp_path))
    return tmp_path / "cache" / "sweep-orchestrator" / "nodes"


def test_the_same_code_is_the_same_package(monkeypatch):
    """Byte for byte, with all modules of this package, and nothing but modules."""
    first = package.packed()
    monkeypatch.setattr(package, "packed", package.packed.__wrapped__)
    assert package.packed() == first
    with zipfile.ZipFile(package.io.BytesIO(first)) as archive:
        names = archive.namelist()
    assert {"orchestrator/execution/ray/worker.py", "orchestrator/trial/capture/hook/sitecustomize.py"} < set(names)
    assert {name.partition("/")[0] for name in names} == {"orchestrator", "cloudpickle"}
    assert all(name.endswith(".py") for name in names)


def test_it_is_unpacked_once_for_this_user_alone(cache):
    """Again where a file of it was changed, added or lost; what nobody used for long goes when another is unpacked."""
    place = Path(unpacked(package.packed()))
    assert place.parent == cache
    assert cache.stat().st_mode & 0o777 == place.stat().st_mode & 0o777 == 0o700
    (place / "orchestrator" / "__pycache__").mkdir()
    before = place.stat().st_ino
    assert Path(unpacked(package.packed())).stat().st_ino == before
    os.utime(place, (0, 0))
    other = io_zip({"a.py": b"1"})
    assert Path(unpacked(other), "a.py").read_bytes() == b"1"
    assert list(cache.iterdir()) == [Path(unpacked(other))]
    for damage in (
        lambda: Path(unpacked(other), "a.py").write_bytes(b"2"),
        lambda: Path(unpacked(other), "b.py").touch(),
    ):
        damage()
        assert [path.name for path in Path(unpacked(other)).iterdir()] == ["a.py"]
        assert Path(unpacked(other), "a.py").read_bytes() == b"1"
    assert len(list(cache.iterdir())) == 1


def io_zip(files):
    content = package.io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def test_workers_that_start_together_unpack_one(cache):
    """None moves from below another what that one is about to import."""
    content = io_zip({f"m{i}.py": b"x" * i for i in range(200)})
    found = []
    threads = [threading.Thread(target=lambda: found.append(unpacked(content))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert {str(path) for path in cache.iterdir()} == set(found)


def test_a_folder_that_others_can_write_is_not_used(cache, tmp_path):
    """Then it is unpacked among temporary files; where that is another's link as well, the error names both."""
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    place = Path(unpacked(io_zip({"a.py": b""})))
    assert place.parent == tmp_path / f"sweep-orchestrator-{os.geteuid()}"
    carried.shutil.rmtree(place.parent)
    place.parent.symlink_to(tmp_path / "cache")
    with pytest.raises(OSError, match=rf"nodes: is not a folder(?s:.*)-{os.geteuid()}: is not a folder"):
        unpacked(io_zip({"a.py": b""}))


def test_what_runs_on_nodes_needs_the_standard_library_alone(tmp_path, cache):
    """The worker, the runner and all that they import, where nothing is installed; Ray is imported when it is asked."""
    code = (
        "import sys; sys.path = [sys.argv[1], *(p for p in sys.path if not p.endswith('-packages'))]\n"
        "import orchestrator.execution.ray.worker, orchestrator.trial.runner.runner, orchestrator.execution.ray.carried\n"
        "print(orchestrator.__file__)"
    )
    command = [sys.executable, "-I", "-W", "error", "-c", code, unpacked(package.packed())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(str(cache))


def bare_python(place):
    """A Python that has Ray, what Ray needs, and nothing of ours: neither this package nor wandb, TensorBoard or NumPy."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    (packages,) = place.glob("lib/python3*/site-packages")
    wanted, found = ["ray"], {}
    while wanted:
        distribution = importlib.metadata.distribution(wanted.pop())
        name = distribution.metadata["Name"]
        if name not in found:
            found[name] = distribution
            needs = [line for line in distribution.requires or () if "extra ==" not in line]
            wanted += [n for n in (re.split(r"[^\w.-]", line)[0] for line in needs) if is_installed(n)]
    for distribution in found.values():
        for top in {file.parts[0] for file in distribution.files if file.parts[0] not in {"..", "__pycache__"}}:
            if not (packages / top).exists():
                (packages / top).symlink_to(distribution.locate_file(top))
    return place / "bin" / "python"


def is_installed(name):
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return bool(importlib.metadata.distribution(name))
    return False


@contextlib.contextmanager
def a_bare_node(python, address, home):
    """A node of a cluster whose Python has Ray alone."""
    command = [python, "-m", "ray.scripts.scripts", "start", "--address", address, "--block", "--disable-usage-stats"]
    resources = ["--num-cpus", "1", "--resources", json.dumps({"bare": 1})]
    environ = environment(RAY_AUTH_MODE="disabled", HOME=str(home), PYTHONPATH="", VIRTUAL_ENV="")
    process = subprocess.Popen(
        [*command, *resources], env=environ, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


PROGRAM = """
import sys
import orchestrator
for step in range(3):
    orchestrator.report({"loss": 1 / (step + 1)}, step=step)
print(sys.executable)
"""


@pytest.mark.ray
def test_a_node_with_nothing_but_ray_runs_trials(tmp_path, monkeypatch):
    """It reports, has W&B and TensorBoard runs that nothing there could write, and it is said what that node has not."""
    from orchestrator.execution.ray.cluster import connect

    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "train.py").write_text(PROGRAM)
    python = bare_python(tmp_path / "bare")
    with a_head() as address, a_bare_node(python, address, home), connect(address) as cluster:
        pool = RayPool(
            cluster,
            resources=Resources(cpu=1, custom={"bare": 1}),
            runs_dir=tmp_path,
            cwd=str(tmp_path),
            pythons=[replace(own(), path="/gone/bin/python")],
        )
        watch = Watch(pool, patience_s=90)
        watch.slots(1)
        program = Program(kind=ProgramKind.SCRIPT, target="train.py")
        pool.launch(build_launch(tmp_path, program=program, argv=("python", "train.py"), wandb=a_wandb_run(0)))
        ended = watch.one(Ended, 0)
        (warning,) = pool.capacity().remarks
        pool.close()
    log = (tmp_path / "trials" / "0000" / "output.log").read_text()
    assert (ended.cause, log) == (Cause.FINISHED, f"{python}\n")
    assert [dict(r.metrics) for e in watch.of(Reported, 0) for r in e.reports] == [
        {"loss": 1.0},
        {"loss": 0.5},
        {"loss": 1 / 3},
    ]
    assert list((tmp_path / "trials" / "0000").glob("wandb/*run-*/run-*.wandb"))
    assert list((tmp_path / "trials" / "0000").glob("events.out.tfevents.*"))
    assert f"has no /gone/bin/python, and runs trials in {python} with other packages: wandb not there" in warning
    assert [path.name for path in home.glob(".cache/sweep-orchestrator/nodes/*/orchestrator")] == ["orchestrator"]
