"""What makes a node unfit, and what is only said, by what it says of itself."""

import pytest

from orchestrator.execution.fitness import Examined, Link, Wanted, findings, size

WANTED = Wanted(
    python="3.11.7",
    ray="2.60.0",
    cwd="/p",
    runs_proof=("/runs/proof", "x"),
    pythons={"/env/python": {"version": "3.10.1", "packages": {"torch": "2.6"}, "own": False}},
)
GB = 1 << 30


def disk(path, total=500, free=100, files_free=10**6):
    return {"path": path, "total": int(total * GB), "free": int(free * GB), "files_free": files_free}


def gpu(free=80, holders=(), index=0):
    return {
        "index": index,
        "uuid": "GPU-a",
        "name": "H100",
        "total": 80 * GB,
        "free": free * GB,
        "used": (80 - free) * GB,
        "holders": list(holders),
    }


def holder(used, sweep="", user="bob", command="python x.py", pid=7):
    held = None if used is None else used * GB
    return {"pid": pid, "bytes": held, "user": user, "command": command, "sweep": sweep}


FIT = {
    "host": "a",
    "python": "3.11.7",
    "executable": "/env/bin/python",
    "ray": "2.60.0",
    "seen": True,
    "absent": [],
    "pythons": {
        "/env/python": {
            "executable": "/env/python",
            "version": [3, 10, 4],
            "packages": {"torch": "2.6"},
            "lacks": [],
            "replaced": False,
        }
    },
    "disks": {"runs": disk("/runs"), "own": disk("/tmp"), "tmp": disk("/tmp"), "shm": disk("/dev/shm", 8, 8)},
    "gpu_source": "NVML",
    "gpus": [gpu()],
    "gpu_problem": None,
    "driver": "550",
    "problems": {},
}
LINK = Link(round_trip_s=0.001, bytes_per_s=1e9, ahead_s=0.0)


def said(link=LINK, offered=1.0, **changes):
    """What is found of a node that says this, as (unfit, what)."""
    node = Examined(host="a", cpus=4.0, gpus=offered, answer=FIT | changes, link=link)
    return [(finding.unfit, finding.what) for finding in findings(node, WANTED)]


def test_a_fit_node_is_fit():
    """Nothing is said of it; nor of this machine, which has no link and which Ray gives out nothing of."""
    assert said() == said(link=None, offered=None) == []


PYTHON = FIT["pythons"]["/env/python"]


@pytest.mark.parametrize(
    ("changes", "unfit", "words"),
    [
        ({"python": "3.12.1"}, True, "Python 3.12.1; this machine has 3.11.7"),
        ({"ray": "2.59.0"}, True, "Ray 2.59.0"),
        ({"pythons": {"/env/python": {"problem": "does not exist"}}}, True, "it does not exist"),
        (
            {"pythons": {"/env/python": PYTHON | {"lacks": ["torch", "timm"]}}},
            True,
            "/env/python does not find .* torch, timm",
        ),
        ({"pythons": {"/env/python": PYTHON | {"version": [3, 9, 1]}}}, True, "is Python 3.9.1 there, 3.10.1 here"),
        ({"pythons": {"/env/python": PYTHON | {"packages": {"torch": "2.5"}}}}, False, "torch 2.5 there, 2.6 here"),
        ({"absent": ["/p/train.py"]}, True, "not there: /p/train.py"),
        ({"disks": FIT["disks"] | {"runs": disk("/runs", free=0.5)}}, True, "512 MB free .*/runs, where its trials"),
        ({"disks": FIT["disks"] | {"runs": disk("/runs", files_free=0)}}, True, "inodes"),
        ({"disks": FIT["disks"] | {"runs": disk("/runs", free=5)}}, False, "little disk: 5.0 GB"),
        (
            {"seen": False, "disks": FIT["disks"] | {"own": disk("/scratch", free=5)}},
            False,
            "/scratch, where its trials",
        ),
        ({"disks": FIT["disks"] | {"tmp": disk("/tmp", total=5000)}}, False, "98% full: from 95%"),
        ({"disks": FIT["disks"] | {"shm": disk("/dev/shm", 1 / 16, 1 / 16)}}, False, "shared memory is 64 MB"),
        ({"gpus": [], "gpu_problem": "version mismatch"}, True, "version mismatch"),
        ({"gpus": [], "gpu_source": None}, False, "Ray gives out 1 GPU, and there is no NVML"),
        ({"gpus": []}, True, "Ray gives out 1 GPU, the driver has 0"),
        ({"gpus": [gpu(10, [holder(70)])]}, True, r"70 GB of 80 GB are held by pid 7 \(bob: python x.py\)"),
        ({"gpus": [gpu(70, [holder(10, user="", command="")])]}, False, "another container"),
        ({"gpus": [gpu(20)]}, True, "no process that can be seen"),
        ({"gpus": [gpu(70, [holder(None)])]}, False, "GPU 0: 10 GB"),
        ({"link": Link(round_trip_s=0.2, bytes_per_s=None, ahead_s=3.0)}, False, "3 s ahead"),
        ({"link": Link(round_trip_s=0.2, bytes_per_s=None, ahead_s=-300)}, True, "300 s behind"),
        ({"link": Link(round_trip_s=0.9, bytes_per_s=1e9, ahead_s=0.4)}, False, "0.9 s there and back"),
        ({"link": Link(round_trip_s=0.1, bytes_per_s=2e6, ahead_s=0), "seen": False}, False, "2.0 MB/s"),
        ({"problems": {"the disk of /x": "Stale file handle"}}, False, "/x could not be looked at: Stale"),
    ],
)
def test_what_is_wrong_is_found(changes, unfit, words):
    """One thing each, whether it makes the node unfit, and in which words."""
    import re

    ((is_unfit, what),) = said(**changes)
    assert is_unfit is unfit
    assert re.search(words, what)


def test_what_is_no_fault():
    """A sweep's trial on a GPU, a little memory of others, a slow link to a shared disk, a clock that may be right."""
    assert said(gpus=[gpu(10, [holder(70, sweep="abcdefgh")])]) == []
    assert said(gpus=[gpu(78, [holder(2)])]) == []
    assert said(link=Link(round_trip_s=0.1, bytes_per_s=1e6, ahead_s=0.0)) == []
    assert said(link=Link(round_trip_s=0.4, bytes_per_s=None, ahead_s=2.1)) == []


def test_a_node_that_does_not_answer_is_unfit_and_the_worst_comes_first():
    """With what it hangs at; of several findings those come first that make it unfit."""
    (finding,) = findings(Examined(host="a", hangs_at="the disk of /nfs"), WANTED)
    assert (finding.unfit, finding.what) == (True, "does not answer: it hangs at the disk of /nfs")
    assert [unfit for unfit, _ in said(problems={"a": "b"}, absent=["c"], ray=None)] == [True, True, False]


def test_sizes_are_for_people():
    """Three digits at most, in powers of 1024."""
    assert [size(n) for n in (64 << 20, 8 * GB, 210 * GB, 3584 * GB)] == ["64 MB", "8.0 GB", "210 GB", "3.5 TB"]
