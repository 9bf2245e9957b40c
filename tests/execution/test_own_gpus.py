"""Which GPUs of a machine are used."""

import pytest

from orchestrator import session
from orchestrator.errors import ClusterError
from orchestrator.execution import node_report
from orchestrator.execution.own_gpus import choose, names_in
from orchestrator.spec.model import Resources

GIB = 1 << 30


def box(n=4, **held):
    """GPUs of 80 GiB; `held` has holders by index: (GiB, the id of their sweep)."""
    return [
        {
            "index": i,
            "uuid": f"GPU-{i}aaa",
            "total": 80 * GIB,
            "holders": [
                {"pid": 7, "bytes": gib * GIB, "user": "ann", "command": "python x.py", "sweep": sweep}
                for gib, sweep in held.get(f"gpu{i}", [])
            ],
        }
        for i in range(n)
    ]


def test_gpus_that_other_programs_hold_are_left_out_and_said():
    """Neither a small part, nor trials of sweeps, nor one that a sweep has turns at; where nothing is held Ray finds all."""
    gpus = box(gpu0=[(40, "")], gpu1=[(1, "")], gpu2=[(40, "abcd1234")], gpu3=[(70, "")])
    used, said = choose(gpus, named=None, visible=None, taken=["3"])
    assert used == ("1", "2", "3")
    assert said == [
        "GPU 0 is left out: 40 GB of its 80 GB are held by pid 7 (ann: python x.py). --gpus names those to use"
    ]
    assert choose(gpus, named=None, visible="3,1", taken=["3"]) == (None, [])
    assert choose(gpus, named=None, visible="GPU-0aaa,GPU-2", most=1)[0] == ("GPU-2",)
    assert choose([], named=None, visible=None) == choose(box(), named=None, visible=None) == (None, [])


def test_named_gpus_are_used_whoever_holds_them():
    """And must be there, among those that are visible; without a driver's word any may be."""
    gpus = box(gpu2=[(40, "")])
    used, said = choose(gpus, named=["2", "3"], visible=None)
    assert used == ("2", "3")
    assert said == [
        "GPU 2 is used, since --gpus names it, though 40 GB of its 80 GB are held by pid 7 (ann: python x.py)"
    ]
    assert choose([], named=["7"], visible=None) == (("7",), [])
    with pytest.raises(ClusterError, match="--gpus 4: this machine has no such GPU; it has 0 to 3"):
        choose(gpus, named=["4"], visible=None)
    with pytest.raises(ClusterError, match=r"--gpus 2: only 0,1 may be used here \(CUDA_VISIBLE_DEVICES\)"):
        choose(gpus, named=["2"], visible="0,1")


def test_where_too_few_are_free_the_holders_are_named():
    """With what uses the GPUs all the same."""
    gpus = box(2, gpu0=[(40, "")], gpu1=[(8, "")])
    with pytest.raises(
        ClusterError,
        match=r"(?s)every GPU that may be used here is held .*ann.*--gpus 0,1 uses them .*--gpus-per-trial 0",
    ):
        choose(gpus, named=None, visible=None)
    with pytest.raises(ClusterError, match="2 GPUs are asked for, 1 are not held by other programs: GPU 0"):
        choose(box(2, gpu0=[(40, "")]), named=None, visible=None, most=2)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "'' is no GPU"), ("2;3", "'2;3' is no GPU"), ("0,00", "GPU 0 is named twice"), ("-1", "is no GPU")],
)
def test_a_list_of_gpus_that_is_none_is_refused(text, problem):
    """With how one is written."""
    with pytest.raises(ValueError, match=problem):
        names_in(text)
    assert names_in("02, GPU-1a-2b") == ("2", "GPU-1a-2b")


def test_a_sweep_that_needs_no_gpu_runs_where_all_are_held(monkeypatch):
    """Whether the spec says so or its program; one that says nothing is refused, as its trials would take one."""
    monkeypatch.setattr(node_report, "gpus_within", lambda _: box(1, gpu0=[(40, "")]))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert session._gpus_here(Resources(cpu=1.0, gpu=0.0), session.ClusterOptions(), print) is None
    with pytest.raises(ClusterError, match="--gpus-per-trial 0"):
        session._gpus_here(Resources(), session.ClusterOptions(), print)
