"""Nodes whose project is held against the one that the sweep was started from; their workers answer when the test says so."""

from types import SimpleNamespace

import pytest

from orchestrator.execution.placement import Node
from orchestrator.execution.ray import comparing
from orchestrator.execution.ray.comparing import CodeComparison
from orchestrator.execution.ray.workers import Silence
from orchestrator.execution.registry import WorkerHandle
from orchestrator.project.same import Expected
from orchestrator.project.snapshot import Contents


@pytest.fixture
def answers(monkeypatch):
    """What calls answer, by the call's name; one that is not in here is still out."""
    answers = {}
    monkeypatch.setattr(comparing.workers, "shared", lambda value: value)
    monkeypatch.setattr(comparing.workers, "answered", lambda calls, **_: [c for c in calls if c in answers])
    monkeypatch.setattr(comparing.workers, "answer", answers.pop)
    return answers


def a_worker(name):
    """A worker whose calls are named after it."""
    actor = SimpleNamespace(compare=SimpleNamespace(remote=lambda _: f"call of {name}"))
    node = Node(node_id=name, host=f"host-{name}", total={}, free={})
    return WorkerHandle(actor=actor, slots=1, node=node, since_s=0.0)


def state(text):
    return Expected(root="/project", contents=Contents(entries={"train.py": text}))


def test_workers_elsewhere_compare_again_when_the_project_changes(answers):
    """Those on the sweep's own node never do; a call that got lost is sent again, one that is out is waited for."""
    now = [state("1")]
    comparison = CodeComparison(lambda: now[0], "own")
    own, other = a_worker("own"), a_worker("b")
    comparison.look([])
    assert comparison.asked_of(own.node) == ()
    assert comparison.asked_of(other.node) == comparison.asked_of(None) == (now[0],)
    own.code = other.code = comparison.number  # as `Starter.start` notes it
    now[0] = state("2")
    answers["call of b"] = Silence(reason="lost")
    comparison.look([own, other])
    assert (other.code, other.other_code) == (1, None)
    comparison.look([own, other])
    comparison.look([own, other])
    answers["call of b"] = "has other code"
    comparison.look([own, other])
    assert (own.code, own.other_code) == (1, None)
    assert (other.code, other.other_code) == (2, "node host-b has other code")


def test_where_trials_run_from_a_copy_nothing_is_compared(answers):
    """No worker is asked anything."""
    comparison = CodeComparison(lambda: None, "own")
    comparison.look([a_worker("b")])
    assert (comparison.asked_of(None), comparison.number) == ((), 0)
