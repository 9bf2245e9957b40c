import pytest

from orchestrator.control.capacity_watch import CapacityWatch
from orchestrator.errors import ClusterError
from orchestrator.execution.protocol import Capacity

B, C = "node b does not see /runs", "node c has Python 3.9"


def capacity(slots=0, **what):
    return Capacity(slots=slots, free=slots, **what)


def test_each_node_that_is_kept_out_is_named_once_however_the_others_come_and_go():
    """Nodes are tried again and again; the same words in another combination are no news."""
    watch, said = CapacityWatch(600.0), []
    for warnings in [(B,), (B, C), (C,), (), (B,), (B, C)]:
        said += watch.see(capacity(2, warnings=warnings, remarks=("r",)), 0.0, busy=False)
    assert said == [B, "r", C]


def test_a_problem_lasts_until_a_trial_can_run():
    """While a node is tried there is none for a moment; that does not make the same one new."""
    watch, said = CapacityWatch(600.0), []
    for slots, problem in [(0, "no room"), (0, None), (0, "no room"), (2, None), (0, "no room")]:
        said += watch.see(capacity(slots, problem=problem), 0.0, busy=False)
    assert said == ["no room"] * 2


def test_a_turn_that_is_waited_for_again_and_again_is_said_once():
    """It is a remark as well: what is said once."""
    watch, said = CapacityWatch(600.0), []
    for slots in (0, 1, 0, 1, 0):
        turn = {"problem": "waiting for its turn", "remarks": ("waiting for its turn",)} if slots == 0 else {}
        said += watch.see(capacity(slots, **turn), 0.0, busy=False)
    assert said == ["waiting for its turn"]


def test_nodes_are_said_as_they_come_and_go():
    """Not those that a sweep begins with; several at a time in one line."""
    watch = CapacityWatch(600.0)
    seen = [
        watch.see(capacity(n, nodes=dict.fromkeys(names) | {name: f"h{name}" for name in names}), 0.0, busy=True)
        for n, names in [(0, ""), (2, "a"), (6, "abc"), (6, "abc"), (1, "b"), (0, "")]
    ]
    assert seen == [
        [],
        [],
        ["nodes hb and hc joined: 6 trials at once now"],
        [],
        ["nodes ha and hc take no more trials: 1 trial at once now"],
        ["node hb takes no more trials: 0 trials at once now"],
    ]


def test_a_wait_without_hope_has_an_end_that_begins_anew_with_every_hope():
    """The reasons of all nodes are in the error, and nothing else; where nothing can join, it comes at once."""
    watch = CapacityWatch(wait_s=60.0)
    hopeless = capacity(problem="no node that is there can run a trial", hopeless=True, warnings=(B,))
    (_, line) = watch.see(hopeless, 0.0, busy=False)
    assert line.endswith("can run a trial; waiting up to 1m00s for one that can (--wait)")
    assert watch.see(capacity(1, hopeless=False), 50.0, busy=False) == []
    watch.see(hopeless, 59.0, busy=False)
    watch.see(hopeless, 100.0, busy=True)
    watch.see(hopeless, 110.0, busy=False)
    watch.see(hopeless, 169.0, busy=False)
    with pytest.raises(ClusterError, match=r"(?s)no other node came within 1m00s.*node b does not see"):
        watch.see(hopeless, 170.0, busy=False)
    shared = capacity(problem="no room", hopeless=True, final=True, remarks=("sweep x shares this cluster",))
    with pytest.raises(ClusterError) as raised:
        CapacityWatch(600.0).see(shared, 0.0, busy=False)
    assert "shares" not in str(raised.value)
    with pytest.raises(ClusterError, match="no room"):
        CapacityWatch(600.0).see(capacity(problem="no room", hopeless=True, final=True), 0.0, busy=False)
