import pytest

from orchestrator.execution.ray.claims import (
    BEAT_S,
    FORGOTTEN_S,
    NAMESPACE,
    SILENT_S,
    Claims,
    _store,
    living,
)
from orchestrator.execution.shares import Claim

pytestmark = pytest.mark.ray


def a_claim(held):
    return Claim(needs={"GPU": 1.0}, held=held, wanted=8, had_s=2.5, host="here")


@pytest.mark.usefixtures("local_ray")
def test_sweeps_know_each_other_by_claims_that_change():
    """Each sees the others' last words; one that is silent for too long is dead, and its words are removed."""
    one, two, killed = Claims("one"), Claims("two"), Claims("killed")
    for held, claims in enumerate((one, two, killed)):
        claims.write(a_claim(held))
    assert one.others(0.0) == {"two": a_claim(1), "killed": a_claim(2)}
    two.write(a_claim(1))
    assert one.others(SILENT_S + 1) == {"two": a_claim(1)}
    two.write(a_claim(5))
    assert one.others(FORGOTTEN_S + 1) == {"two": a_claim(5)}
    assert Claims().others(0.0).keys() == {"one", "two"}
    two.leave()
    assert one.others(FORGOTTEN_S + 2) == {}


@pytest.mark.usefixtures("local_ray")
def test_a_claim_of_another_release_is_passed_over():
    """It ends nobody's sweep."""
    one, two = Claims("one"), Claims("two")
    two.write(a_claim(2))
    for i, said in enumerate((b"{}", b"[]", b"\xff", b"")):
        _store().internal_kv_put(b"other%d" % i, said, True, NAMESPACE, 2.0)
    assert one.others(0.0) == {"two": a_claim(2)}
    for each in (two, *(Claims(f"other{i}") for i in range(4))):
        each.leave()


@pytest.mark.usefixtures("local_ray")
def test_who_only_looks_sees_those_that_live(monkeypatch):
    """A claim that was not written anew while it looked is a dead sweep's."""
    alive, killed = Claims("alive"), Claims("killed")
    for claims in (alive, killed):
        claims.write(a_claim(1))
    monkeypatch.setattr("orchestrator.execution.ray.claims.BEAT_S", BEAT_S / 100)
    assert living(lambda: alive.write(a_claim(3))) == (None, {"alive": a_claim(3)})
