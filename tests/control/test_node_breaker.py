from orchestrator.control.node_breaker import MAX_NODES, NodeBreaker
from orchestrator.trial.contract.events import Cause, Ended


def fails(breaker, trial, node, others=("good",), *, error="boom", cause=Cause.FAILED, unheard=False, showed=False):
    ended = Ended(trial=trial, attempt=0, time=0.0, cause=cause, error=error)
    return breaker.is_suspect(ended, node, f"h-{node}", others, unheard=unheard, showed=showed)


def test_a_node_is_to_blame_when_what_fails_there_works_elsewhere():
    """Two trials, and one of them ran on another node: the sentence names host, trials and error; it is said once."""
    breaker = NodeBreaker()
    assert fails(breaker, 0, "bad")
    breaker.worked(5, "good")
    assert fails(breaker, 1, "bad")
    assert breaker.blame() == []
    assert breaker.tried(1) == {"bad"}
    breaker.worked(1, "good")
    (blame,) = breaker.blame()
    assert (blame.node, "node h-bad gets no more trials" in blame.reason, "trials 0, 1: boom" in blame.reason) == (
        "bad",
        True,
        True,
    )
    assert breaker.blame() == []
    assert fails(breaker, 2, "bad")


def test_a_bad_config_is_the_trial_s_own():
    """It fails on a node that has proved itself, too; then no node is to blame for it."""
    breaker = NodeBreaker()
    breaker.worked(9, "good")
    for trial in (0, 1):
        assert fails(breaker, trial, "new")
        assert not fails(breaker, trial, "good", ["new"])
    breaker.worked(2, "new")
    assert breaker.blame() == []
    assert not fails(breaker, 3, "new")


def test_what_fails_alike_everywhere_is_the_program():
    """Every other node that there is has failed with the same error; another error is another matter."""
    breaker = NodeBreaker()
    assert fails(breaker, 0, "a", ["b", "c"], error="lr=0.1 is bad")
    assert fails(breaker, 1, "b", ["a", "c"], error="lr=0.2 is bad")
    assert fails(breaker, 2, "c", ["a", "b"], error="no disk")
    assert not fails(breaker, 3, "c", ["a", "b"], error="lr=0.3 is bad")
    assert fails(breaker, 4, "c", ["a", "b"], error="lr=0.3 is bad", unheard=True)


def test_what_a_node_cannot_bring_about_is_never_its_fault():
    """A trial that logged a row, one without its metric, one alone on its node, one that has been around."""
    breaker = NodeBreaker()
    assert not fails(breaker, 0, "a", showed=True)
    assert not fails(breaker, 0, "a", cause=Cause.NO_METRIC)
    assert not fails(breaker, 0, "a", [])
    tries = [fails(breaker, 7, f"n{i}", ["other"]) for i in range(MAX_NODES)]
    assert tries == [True] * (MAX_NODES - 1) + [False]
