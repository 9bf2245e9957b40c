import itertools
import math

import pytest

from orchestrator.execution.cluster_turns import PASSED_S, SAID_S, ClusterTurns
from orchestrator.execution.placement import Bundle, Node
from orchestrator.execution.reconciler import Discard, Drain, Start, View, reconcile
from orchestrator.execution.registry import Attempt, WorkerHandle, WorkerRegistry
from orchestrator.execution.shares import Claim

STEP_S = 0.1
STARTS_S = 0.5
LAGS_S = 0.3
PARTS = 4


class Box:
    """Nodes that some sweeps share, in virtual time: each acts as its pool does, once a second and at its trials' ends."""

    def __init__(self, nodes, bundles, trial_s, parts=1):
        self.total = {name: dict(total) for name, total in nodes.items()}
        self.sweeps = {
            name: _Sweep(self, name, Bundle(needs=needs, parts=parts), trial_s[name]) for name, needs in bundles.items()
        }
        self.claims = {}
        self.heard_s = {}
        self.now_s = self.seen_s = 0.0
        self.asked = []
        self.seen = self.nodes()

    def nodes(self):
        """The nodes with what is free on them."""
        free = {name: dict(total) for name, total in self.total.items()}
        for sweep in self.sweeps.values():
            for worker in sweep.given:
                for resource, amount in sweep.bundle.times(worker.slots).items():
                    free[worker.node_id][resource] -= amount
        return [Node(node_id=n, host=n, total=self.total[n], free=free[n]) for n in free]

    def give(self):
        """Give workers the room that they were asked for, in that order, as Ray does: they wait until it is free."""
        for sweep in self.sweeps.values():
            sweep.given = {w: s for w, s in sweep.given.items() if w in sweep.registry.workers}
        for sweep, worker in list(self.asked):
            is_wanted = sweep.name in self.sweeps and worker in sweep.registry.workers
            free = next(node.free for node in self.nodes() if node.node_id == worker.node_id)
            if not is_wanted or sweep.bundle.fits(free) >= worker.slots:
                self.asked.remove((sweep, worker))
                sweep.given[worker] = self.now_s
        if self.now_s >= self.seen_s + LAGS_S:
            self.seen_s, self.seen = self.now_s, self.nodes()

    def kill(self, name):
        """End a sweep as kill -9 does: its workers go, its claim stays for a while."""
        del self.sweeps[name]
        self.forget_s, self.killed = self.now_s + 5, name

    def run(self, seconds):
        """Return the slot-seconds that each sweep's trials had."""
        had = dict.fromkeys(self.sweeps, 0.0)
        for _ in range(round(seconds / STEP_S)):
            self.now_s += STEP_S
            if self.now_s > getattr(self, "forget_s", math.inf):
                self.claims.pop(self.killed, None)
            for name, sweep in self.sweeps.items():
                sweep.step(self.now_s)
                self.give()
                had[name] += STEP_S * sum(len(worker.running) for worker in sweep.registry.workers)
        return had


class _Sweep:
    """One of them."""

    def __init__(self, box, name, bundle, trial_s):
        self.box, self.name, self.bundle, self.trial_s = box, name, bundle, trial_s
        self.given = {}
        self.registry = WorkerRegistry()
        self.registry.wanted = math.inf
        self.turns = ClusterTurns(name, "here")
        self.due_s = len(box.__dict__.get("sweeps", {})) * 0.1
        self.keys = itertools.count()

    def step(self, now_s):
        for worker in list(self.registry.workers):
            if not worker.ready and now_s - self.given.get(worker, math.inf) >= STARTS_S:
                worker.answered(now_s)
                worker.heard_s = math.inf
            for key, attempt in list(worker.running.items()):
                if now_s >= attempt.given_s + self.trial_s:
                    del worker.running[key]
                    self.turns.settle(self.registry, now_s, ended=worker)
                    if worker.yields:
                        worker.drain(True)
                        self.due_s = now_s
        if now_s >= self.due_s:
            self.due_s = now_s + 1.0
            self.refresh(now_s)
        for worker in self.registry.workers:
            while worker.free > 0:
                attempt = Attempt(launch=None, given_s=now_s, started=True)
                worker.running[next(self.keys), 0] = attempt

    def refresh(self, now_s):
        nodes = self.box.seen
        others = {name: claim for name, claim in self.box.claims.items() if name != self.name}
        self.turns.see(others, {name: self.box.heard_s.get(name, 0.0) for name in others})
        self.turns.claim(self.registry, self.bundle, nodes, now_s)
        self.turns.settle(self.registry, now_s)
        view = View(nodes=nodes, bundle=self.bundle, avoided=(), silence_s=1e9, can_grow=False, now_s=now_s)
        for action in reconcile(self.registry, view):
            match action:
                case Start():
                    worker = WorkerHandle(actor=None, slots=action.slots, node=action.node, since_s=now_s)
                    self.registry.workers.append(worker)
                    self.box.asked.append((self, worker))
                case Discard():
                    self.registry.remove(action.worker)
                case Drain():
                    action.worker.drain(action.draining)
        self.box.claims[self.name] = self.turns.claim(self.registry, self.bundle, nodes, now_s)
        self.box.heard_s[self.name] = now_s


EIGHT = {"box": {"GPU": 8.0, "CPU": 16.0}}
TWO_BY_FOUR = {name: {"GPU": 4.0, "CPU": 8.0} for name in ("n1", "n2")}


def even(had):
    """How far the furthest is from its fair part, as a part of that."""
    fair = sum(had.values()) / len(had)
    return max(abs(each - fair) / fair for each in had.values())


def a_box(n_sweeps, nodes=EIGHT):
    """Sweeps with trials of 1 and of 4 seconds in turn, on GPUs."""
    names = [f"s{i}" for i in range(n_sweeps)]
    lengths = dict(zip(names, itertools.cycle((1.0, 4.0)), strict=False))
    return Box(nodes, {name: {"GPU": 1.0} for name in names}, lengths)


@pytest.mark.parametrize("nodes", [EIGHT, TWO_BY_FOUR])
@pytest.mark.parametrize("n_sweeps", [2, 3, 8, 10])
def test_every_sweep_has_its_part_however_many_there_are(nodes, n_sweeps):
    """After a minute nobody is a tenth from fair, and the GPUs are in use."""
    box = a_box(n_sweeps, nodes)
    box.run(60)
    had = box.run(180)
    assert even(had) < 0.1, had
    assert sum(had.values()) > 0.85 * 8 * 180


def test_sweeps_that_see_the_same_room_at_once_have_their_parts_at_once():
    """Ray gives all of it to one; what the other asked for it does not count as its own, and asks again in its turn."""
    box = a_box(2)
    box.run(12)
    assert even(box.run(20)) < 0.1
    assert all(worker.ready for sweep in box.sweeps.values() for worker in sweep.registry.workers)


def test_a_worker_that_starts_slowly_in_room_that_is_its_own_is_waited_for(monkeypatch):
    """A busy node may need a minute for it."""
    monkeypatch.setitem(globals(), "STARTS_S", 20.0)
    box = a_box(2)
    box.run(60)
    assert even(box.run(20)) < 0.1


def test_who_comes_late_gets_its_part_as_trials_end_and_who_is_killed_leaves_its_part():
    """No trial is ended for that; a claim that went silent counts no more."""
    box = a_box(2)
    late = box.sweeps.pop("s1")
    assert box.run(30) == {"s0": pytest.approx(8 * 30, rel=0.1)}
    box.sweeps["s1"] = late
    box.run(5)
    assert even(box.run(20)) < 0.1
    box.kill("s0")
    box.run(10)
    assert box.run(20) == {"s1": pytest.approx(8 * 20, rel=0.05)}


def test_a_sweep_that_wants_little_has_that_and_the_others_use_the_rest():
    """What it gives back at its end is used, too."""
    box = a_box(2)
    box.sweeps["s0"].registry.wanted = 2
    box.run(10)
    assert box.run(20) == pytest.approx({"s0": 2 * 20, "s1": 6 * 20}, rel=0.05)
    box.sweeps["s0"].registry.wanted = 0
    box.run(5)
    assert not box.sweeps["s0"].registry.workers


def test_trials_of_two_gpus_get_theirs_among_trials_of_one():
    """GPUs of one node are kept for them until there are two; by GPUs the parts are as for all others."""
    box = Box(TWO_BY_FOUR, {"one": {"GPU": 1.0}, "two": {"GPU": 2.0}}, {"one": 1.0, "two": 4.0})
    del box.sweeps["two"]
    two = _Sweep(box, "two", Bundle(needs={"GPU": 2.0}), 4.0)
    box.run(10)
    box.sweeps["two"] = two
    box.run(20)
    had = box.run(40)
    assert had["one"] == pytest.approx(2 * had["two"], rel=0.2)
    assert had["one"] + 2 * had["two"] > 0.8 * 8 * 40


def test_trials_without_a_gpu_give_back_a_worker_of_several_once_it_is_empty():
    """A node is divided among four workers, so that parts can be given away at all."""
    box = Box(EIGHT, {"a": {"CPU": 1.0}, "b": {"CPU": 1.0}}, {"a": 1.0, "b": 1.5}, parts=PARTS)
    late = box.sweeps.pop("b")
    box.run(10)
    assert [worker.slots for worker in box.sweeps["a"].registry.workers] == [4] * PARTS
    box.sweeps["b"] = late
    box.run(15)
    assert even(box.run(30)) < 0.1


def test_room_that_those_with_less_do_not_take_is_taken_after_a_while():
    """A sweep may claim what it cannot use, such as slots on a node that its trials do not work on."""
    box = a_box(1)
    box.claims["stuck"] = Claim(needs={"GPU": 1.0}, held=0, wanted=100)
    assert box.run(PASSED_S - 2)["s0"] <= 4 * (PASSED_S - 2)
    assert box.run(60)["s0"] > 4 * 60


def test_what_a_sweep_waits_for_is_said_in_the_same_words_whoever_has_its_slots():
    """Where several take turns they change every few seconds; a single other one is named."""
    nodes = [Node(node_id="n", host="n", total={"GPU": 2.0}, free={"GPU": 0.0})]
    turns, registry = ClusterTurns("mine", "here"), WorkerRegistry()
    has, waits = (Claim(needs={"GPU": 1.0}, held=n, wanted=2) for n in (1, 0))
    said = set()
    for others in ({"a": has, "b": waits}, {"a": waits, "b": has}, {"a": has, "b": has}):
        turns.see(others, dict.fromkeys(others, 0.0))
        for now_s in (0.0, SAID_S + 1):
            turns.claim(registry, Bundle(needs={"GPU": 1.0}), nodes, now_s)
        said.add(turns.waiting("no room", SAID_S + 1))
    (text,) = said
    assert text in turns.remarks(SAID_S + 1)
    turns.see({"a": has}, {"a": 0.0})
    assert "sweep a has the cluster's slots" in turns.waiting("no room", SAID_S + 1)
    turns.see({"a": waits}, {"a": 0.0})
    assert turns.waiting("no room", SAID_S + 1) == "no room"
