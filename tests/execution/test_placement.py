import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.execution.placement import Bundle, Node, bundle_of, explain, plan
from orchestrator.spec.model import Resources

GIB = 2**30


def a_node(name="a", *, cpu=8, gpu=0, memory=64 * GIB, free=None, draining=False, **custom):
    total = {"CPU": cpu, "GPU": gpu, "memory": memory, **custom}
    return Node(node_id=name, host=name, total=total, free=total | (free or {}), draining=draining)


def workers(placements):
    return [(p.node.node_id, p.slots) for p in placements]


def test_the_default_is_a_gpu_where_the_cluster_has_gpus_else_a_cpu():
    """Absent resources mean one GPU, or one CPU on a cluster without GPUs."""
    assert bundle_of(Resources(), [a_node(), a_node(gpu=2)]).needs == {"GPU": 1}
    assert bundle_of(Resources(), [a_node()]).needs == {"CPU": 1}


def test_resources_that_are_given_stay_and_zero_means_none():
    """`gpu: 0` on a GPU box asks for a CPU; memory and custom resources are passed on."""
    assert bundle_of(Resources(gpu=0), [a_node(gpu=8)]).needs == {"CPU": 1}
    assert bundle_of(Resources(gpu=0, cpu=0.5, memory_bytes=GIB, custom={"tpu": 2}), []).needs == {
        "CPU": 0.5,
        "memory": GIB,
        "tpu": 2,
    }


def test_trials_without_a_gpu_share_one_worker_per_node():
    """One actor and one warm server per node, however many slots it has."""
    placements = plan(Bundle(needs={"CPU": 2}), [a_node("a", cpu=8), a_node("b", cpu=5)], want=math.inf)
    assert workers(placements) == [("b", 2), ("a", 4)]


def test_where_sweeps_share_a_cluster_a_few_workers_share_a_node():
    """By what the node has in all, so that one of them can be given away; on small nodes each trial has its own."""
    bundle = Bundle(needs={"CPU": 1}, parts=4)
    assert workers(plan(bundle, [a_node(cpu=10)], want=math.inf)) == [("a", 3), ("a", 3), ("a", 3), ("a", 1)]
    assert workers(plan(bundle, [a_node(cpu=10, free={"CPU": 4})], want=math.inf)) == [("a", 3), ("a", 1)]
    assert workers(plan(bundle, [a_node(cpu=2)], want=math.inf)) == [("a", 1)] * 2


def test_trials_that_take_part_of_a_gpu_share_one_worker_per_gpu():
    """A worker never spans two GPUs, so its children all see the one it has."""
    assert workers(plan(Bundle(needs={"GPU": 0.3}), [a_node(gpu=4)], want=math.inf)) == [("a", 3)] * 4


def test_parts_of_gpus_that_others_share_are_taken_one_by_one():
    """When somebody holds half a GPU, a worker that wants a whole one might never start."""
    node = a_node(gpu=2, free={"GPU": 1.5})
    assert workers(plan(Bundle(needs={"GPU": 0.5}), [node], want=math.inf)) == [("a", 1)] * 3


def test_trials_with_whole_gpus_have_their_own_workers():
    """One bundle, one worker: Ray gives each its own GPUs."""
    assert workers(plan(Bundle(needs={"GPU": 2, "CPU": 1}), [a_node(gpu=8, cpu=3)], want=math.inf)) == [("a", 1)] * 3


def test_a_limit_is_spread_over_the_nodes():
    """Concurrency below the capacity uses all nodes instead of filling the first."""
    nodes = [a_node("a"), a_node("b"), a_node("c", draining=True)]
    assert workers(plan(Bundle(needs={"CPU": 1}), nodes, want=5)) == [("a", 3), ("b", 2)]


def test_a_gpu_trial_without_cpus_uses_its_share_of_the_node():
    """Threads are capped so that eight trials on eight GPUs do not fight for the CPUs."""
    assert Bundle(needs={"GPU": 1}).cpu_share(a_node(cpu=64, gpu=8)) == 8
    assert Bundle(needs={"GPU": 0.25}).cpu_share(a_node(cpu=2, gpu=8)) == 1
    assert Bundle(needs={"CPU": 3}).cpu_share(a_node()) == 3
    assert Bundle().cpu_share(a_node()) is None


@pytest.mark.parametrize(
    ("needs", "nodes", "sentence"),
    [
        ({"GPU": 2}, [a_node(gpu=1)], "a trial wants 2 GPUs, but the largest node has 1 GPU"),
        ({"GPU": 1}, [a_node()], "a trial wants 1 GPU, but the largest node has 0 GPUs"),
        ({"memory": 96 * GIB}, [a_node()], "a trial wants 96 GiB of memory, but the largest node has 64 GiB of memory"),
        (
            {"GPU": 1, "CPU": 8},
            [a_node(gpu=1, cpu=2), a_node()],
            "a trial wants 1 GPU and 8 CPUs, but no node has all of that",
        ),
        (
            {"GPU": 1},
            [a_node(gpu=1, free={"GPU": 0})],
            "a trial wants 1 GPU: waiting for resources that others hold now",
        ),
        ({"tpu": 1}, [a_node()], "a trial wants 1 tpu, but the largest node has 0 tpu"),
        ({"CPU": 1}, [a_node(draining=True)], "a trial wants 1 CPU, but the cluster has no node that stays"),
        ({"CPU": 1}, [], "a trial wants 1 CPU, but the cluster has no node"),
    ],
)
def test_the_user_is_told_why_nothing_can_be_placed(needs, nodes, sentence):
    """One sentence with what is wanted, what there is, and whether waiting helps."""
    assert explain(Bundle(needs=needs), nodes) == sentence


@given(
    gpu=st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 1.0, 2.0]),
    cpu=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    nodes=st.lists(st.tuples(st.integers(0, 16), st.integers(0, 8)), max_size=5),
    want=st.one_of(st.integers(1, 20), st.just(math.inf)),
)
def test_a_plan_fits_fills_and_stays_within_what_is_wanted(gpu, cpu, nodes, want):
    """Nothing is overcommitted; whole shares are used up or the want is met; no worker has more slots than its GPU."""
    if gpu + cpu == 0:
        return
    bundle = Bundle(needs={name: amount for name, amount in (("GPU", gpu), ("CPU", cpu)) if amount})
    made = [a_node(str(i), cpu=c, gpu=g) for i, (c, g) in enumerate(nodes)]
    placements = plan(bundle, made, want=want)
    for node in made:
        slots = sum(p.slots for p in placements if p.node is node)
        assert all(bundle.times(slots)[name] <= node.free[name] + 1e-3 for name in bundle.needs)
    total = sum(p.slots for p in placements)
    assert total <= want
    assert all(1 <= p.slots <= bundle.slots_per_worker for p in placements)
    assert total == min(want, sum(bundle.fits(node.free) for node in made))
    assert all(sum(p.slots * gpu for p in placements if p.node is node) <= node.total["GPU"] + 1e-6 for node in made)
