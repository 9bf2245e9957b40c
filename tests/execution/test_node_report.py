"""What a node says of itself, with the driver faked as a module, or as a program."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ray import cloudpickle

from orchestrator.execution import node_report
from orchestrator.execution.node_report import Examiner, answer_within
from orchestrator.execution.ray.preflight import _by_value
from orchestrator.interpreters.probe import report_source

NOTHING = {"cwd": "/", "proof": None, "files": [], "pythons": {}, "self_report": "", "environ": {}}

SMI = """#!/bin/sh
case "$1" in
  --query-gpu=*) echo "0, GPU-a, NVIDIA A100, 535.1, 40960, 30720, 10240"; echo "1, GPU-b, NVIDIA A100, 535.1, 40960, 40000, 0" ;;
  *) echo "GPU-a, $PPID, 10240"; echo "GPU-a, 1, [N/A]" ;;
esac
"""


@pytest.fixture
def fake_gpus(tmp_path, monkeypatch):
    """Return `give(**told)`: from then on this process finds a pynvml that says so."""

    def give(**told):
        shutil.copy(Path(__file__).parent / "programs/fake_pynvml.py", tmp_path / "pynvml.py")
        (tmp_path / "gpus.json").write_text(json.dumps(told))
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "pynvml", raising=False)

    yield give
    sys.modules.pop("pynvml", None)


def test_gpus_and_who_holds_them(fake_gpus):
    """A process is named with its user, its command and the sweep whose trial it is; one that cannot be seen by its number."""
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={"SWEEP_ID": "abcdefgh"}) as trial:
        fake_gpus(
            gpus=[{"total": 80, "free": 18, "processes": [(trial.pid, 60), (1 << 22, 2)]}, {"total": 80, "free": 80}]
        )
        answer = Examiner().report(NOTHING)
        trial.communicate(b"\n")
    assert (answer["gpu_source"], answer["driver"], answer["cuda"]) == ("NVML", "550.54.15", "12.4")
    first, second = answer["gpus"]
    assert (first["name"], first["total"], first["free"]) == ("NVIDIA H100 80GB HBM3", 80 << 30, 18 << 30)
    known, unknown = first["holders"]
    assert (known["sweep"], known["command"], known["bytes"]) == ("abcdefgh", " ".join(command), 60 << 30)
    assert known["user"]
    assert unknown == {"pid": 1 << 22, "bytes": 2 << 30, "user": "", "command": "", "sweep": ""}
    assert second["holders"] == answer["problems"].get("GPUs", [])


@pytest.mark.parametrize(("gpu", "used"), [({"kept": 2}, 0), ({"kept": 2, "old": True}, 2)])
def test_what_the_driver_keeps_of_a_gpu_is_not_used(fake_gpus, gpu, used):
    """As nvidia-smi has it; a driver without the newer call counts it."""
    fake_gpus(gpus=[{"total": 80, "free": 78, **gpu}])
    (found,) = Examiner().gpus()["gpus"]
    assert (found["free"], found["used"]) == (78 << 30, used << 30)


def test_a_driver_that_does_not_work_is_said(fake_gpus, monkeypatch):
    """Also where a GPU does not tell who uses it; a missing driver is no problem, there are no GPUs."""
    monkeypatch.setenv("PATH", "")
    fake_gpus(error="Driver/library version mismatch")
    assert "mismatch" in Examiner().report(NOTHING)["gpu_problem"]
    fake_gpus(error="NVML Shared Library Not Found")
    answer = Examiner().report(NOTHING)
    assert (answer["gpu_source"], answer["gpus"], answer["gpu_problem"]) == (None, [], None)
    fake_gpus(gpus=[{"total": 8, "free": 8, "secret": True}])
    assert Examiner().report(NOTHING)["gpus"][0]["holders"] == []


def test_nvidia_smi_is_asked_where_there_is_no_nvml(fake_gpus, tmp_path, monkeypatch):
    """It says the same, but for what it does not know; one that fails is a problem."""
    fake_gpus(error="NVML Shared Library Not Found")
    program = tmp_path / "nvidia-smi"
    program.write_text(SMI)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    answer = Examiner().report(NOTHING)
    assert (answer["gpu_source"], answer["driver"], len(answer["gpus"])) == ("nvidia-smi", "535.1", 2)
    assert [gpu["used"] for gpu in answer["gpus"]] == [10 << 30, 0]
    assert [(h["pid"], h["bytes"]) for h in answer["gpus"][0]["holders"]] == [(os.getpid(), 10 << 30), (1, None)]
    program.write_text("#!/bin/sh\necho 'has failed because it could not communicate with the driver'\nexit 9\n")
    assert "could not communicate" in Examiner().report(NOTHING)["gpu_problem"]


def test_files_disks_and_interpreters(tmp_path):
    """A proof that is read, or is another's; a program that is not there; names that an interpreter does not find."""
    proof = tmp_path / "proof"
    proof.write_text("text")
    wrong = tmp_path / "wrong"
    wrong.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    wrong.chmod(0o755)
    asked = NOTHING | {
        "cwd": str(tmp_path / "not/there"),
        "proof": [str(proof), "text"],
        "files": [str(proof), str(tmp_path / "gone.py")],
        "pythons": {
            sys.executable: {"own": False, "libraries": ["json", "no_such_library", "xml"]},
            "/no/python": {"own": False, "libraries": []},
            "/no/own": {"own": True, "libraries": []},
            str(wrong): {"own": False, "libraries": []},
        },
        "self_report": report_source(),
    }
    answer = Examiner().report(asked)
    assert (answer["seen"], answer["absent"], answer["problems"]) == (True, [str(tmp_path / "gone.py")], {})
    assert answer["pythons"][sys.executable]["lacks"] == ["no_such_library"]
    assert answer["pythons"]["/no/python"] == {"problem": "does not exist", "replaced": False}
    assert answer["pythons"]["/no/own"]["replaced"]
    assert answer["pythons"]["/no/own"]["lacks"] == []
    assert answer["pythons"][str(wrong)]["problem"].endswith("broken")
    assert {"cwd", "own", "tmp", "shm", "runs"} == set(answer["disks"])
    assert answer["disks"]["cwd"]["free"] > 0
    assert Examiner().report(asked | {"proof": [str(proof), "other"]})["seen"] is False


def test_what_hangs_is_named(tmp_path):
    """A disk that does not answer, here a pipe that nobody writes to; what fails hides nothing else."""
    os.mkfifo(tmp_path / "pipe")
    assert answer_within(0.3, NOTHING | {"proof": [str(tmp_path / "pipe"), ""]}) == f"the file {tmp_path / 'pipe'}"
    answer = answer_within(20, NOTHING | {"files": None})
    assert "TypeError" in answer["problems"]["shared files"]
    assert answer["disks"]


def test_it_needs_nothing_of_ours_where_it_runs():
    """The class travels by value: a process that cannot import this package runs it."""
    with _by_value():
        pickled = cloudpickle.dumps(Examiner)
    program = (
        "import sys, json; sys.modules['orchestrator'] = None; import cloudpickle;"
        "e = cloudpickle.loads(sys.stdin.buffer.read())(); a = e.report(json.loads(sys.argv[1]));"
        "print(json.dumps([a['python'], a['problems'], len(e.give(5)), e.at(), e.now() > 0]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(NOTHING)], input=pickled, capture_output=True, check=True
    )
    assert json.loads(done.stdout) == [node_report.platform.python_version(), {}, 5, "nothing any more", True]
    assert b"node_report" in pickle.dumps(Examiner)  # as it is else: by its name
