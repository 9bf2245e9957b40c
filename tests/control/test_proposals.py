import threading

import pytest

from orchestrator.control.proposals import Dialogue, Known, Pace, Proposals
from orchestrator.search.factory import make_search
from orchestrator.search.protocol import Observation, Outcome, Remembered
from orchestrator.space import SearchSpace
from orchestrator.spec import load_dict


class GatedSearch:
    """A search that answers when the test opens its gate, with what it was told."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)

    def suggest(self, number, observations, pending):
        self.asked.release()
        assert self.gate.acquire(timeout=30)
        return {"number": number, "seen": len(observations)}


def observation(number: int) -> Observation:
    return Observation(number=number, config={}, outcome=Outcome.FINISHED, scores=(0.0,), order=number)


class Sweep:
    """What the controller knows, changed by the test."""

    def __init__(self) -> None:
        self.number = 0
        self.observations: list[Observation] = []
        self.cap: int | None = None

    def known(self) -> Known:
        left = None if self.cap is None else self.cap - self.number
        return Known(number=self.number, observations=tuple(self.observations), pending=(), left=left)


@pytest.fixture
def sweep():
    return Sweep()


@pytest.fixture
def search():
    return GatedSearch()


@pytest.fixture
def proposals(sweep, search):
    made = Proposals(search, adaptive=True, known=sweep.known)
    yield made
    search.gate.release(10)
    made.close()


def until_ready(proposals, trial_s):
    """The next proposal; waits for the thread by asking again."""
    pace = None if trial_s is None else Pace(trial_s=trial_s, slots=1)
    for _ in range(10_000):
        proposal = proposals.ready(pace)
        if proposal is not None:
            return proposal
        threading.Event().wait(0.001)
    raise AssertionError("no proposal")


def test_asking_never_blocks(proposals, search):
    """The loop goes on while the search thinks."""
    assert proposals.ready(None) is None
    assert search.asked.acquire(timeout=30)
    assert proposals.ready(None) is None


def test_a_proposal_asked_ahead_is_there_when_a_slot_gets_free(proposals, search):
    """The search works while trials run."""
    proposals.ask_ahead()
    search.gate.release()
    assert until_ready(proposals, None).config == {"number": 0, "seen": 0}


def test_a_stale_proposal_is_asked_anew_when_trials_are_long(proposals, search, sweep):
    """A result that came in meanwhile is worth a moment of a slot that runs for an hour."""
    proposals.ask_ahead()
    assert search.asked.acquire(timeout=30)
    sweep.observations.append(observation(0))
    search.gate.release(2)
    proposal = until_ready(proposals, trial_s=3600.0)
    assert (proposal.config["seen"], proposal.n_observed) == (1, 1)


def test_a_stale_proposal_is_used_when_trials_are_short(proposals, search, sweep):
    """A slot does not wait for a search that takes as long as a trial."""
    proposals.ask_ahead()
    assert search.asked.acquire(timeout=30)
    sweep.observations.append(observation(0))
    search.gate.release()
    assert until_ready(proposals, trial_s=1e-9).n_observed == 0


def test_a_proposal_for_a_number_that_is_taken_is_thrown_away(proposals, search, sweep):
    """Two trials never get the same number."""
    proposals.ask_ahead()
    assert search.asked.acquire(timeout=30)
    sweep.number = 5
    search.gate.release(2)
    assert until_ready(proposals, None).number == 5


class SlowSearch:
    """A search that thinks for a while, answers for as many trials as it is asked for, and notes what it was told."""

    def __init__(self, *thinks_s: float) -> None:
        self.calls: list[tuple[int, list[int], int]] = []
        self.thinks_s = thinks_s

    def suggest(self, number, observations, pending):
        return self.suggest_batch(number, observations, pending, 1)[0]

    def suggest_batch(self, number, observations, pending, n):
        self.calls.append((number, [p.number for p in pending], n))
        threading.Event().wait(self.thinks_s[(len(self.calls) - 1) % len(self.thinks_s)])
        return [{"number": number + i} for i in range(n)]


def test_trials_that_end_faster_than_the_search_thinks_get_several_proposals_at_a_time(sweep):
    """Slots take them one after the other while the search thinks about those that follow, which it is told."""
    search = SlowSearch(0.05)
    handed_out = run(search, sweep, 40, trial_s=0.01)
    assert [p.number for p in handed_out] == [p.config["number"] for p in handed_out] == list(range(40))
    assert max(n for _, _, n in search.calls) > 5
    ahead = [(number, pending) for number, pending, _ in search.calls if pending]
    assert ahead
    assert all(pending == list(range(number - len(pending), number)) for number, pending in ahead)


def run(search, sweep, n, trial_s):
    """Hand out the proposals of n trials, each of which ends at once."""
    proposals = Proposals(search, adaptive=True, known=sweep.known)
    handed_out = []
    try:
        while len(handed_out) < n:
            handed_out.append(until_ready(proposals, trial_s))
            sweep.observations.append(observation(sweep.number))
            sweep.number += 1
            proposals.ask_ahead()
    finally:
        proposals.close()
    return handed_out


def test_nothing_is_asked_for_that_will_not_run(sweep):
    """The last trials of a sweep are not followed by proposals that nobody takes."""
    search = SlowSearch(0.05)
    sweep.cap = 10
    run(search, sweep, 10, trial_s=0.01)
    assert all(number + n <= 10 for number, _, n in search.calls)


def test_one_slow_answer_does_not_decide_about_the_trials_that_follow(sweep):
    """A busy moment is no reason to hand out proposals that know nothing of the latest results."""
    search = SlowSearch(0.0, 0.0, 0.5, 0.0)
    run(search, sweep, 12, trial_s=1.0)
    assert {n for _, _, n in search.calls} == {1}


def test_a_search_that_does_not_learn_is_asked_on_the_spot(sweep):
    """Grid and random need no thread."""

    class Count:
        def suggest(self, number, observations, pending):
            return {"n": number} if number < 2 else None

    proposals = Proposals(Count(), adaptive=False, known=sweep.known)
    answers = []
    for sweep.number in range(3):
        answers.append(proposals.ready(None).config)
    assert answers == [{"n": 0}, {"n": 1}, None]


def test_an_error_of_the_search_reaches_the_caller(sweep):
    """A search that cannot go on ends the sweep instead of hanging it."""

    class Broken:
        def suggest(self, number, observations, pending):
            raise ValueError("no more")

    proposals = Proposals(Broken(), adaptive=True, known=sweep.known)
    with pytest.raises(ValueError, match="no more"):
        until_ready(proposals, None)


def test_what_a_study_makes_of_a_ledger_is_kept_before_anything_runs(sweep, tmp_path):
    """A trial that runs again has another place in the study, which the next controller is to know, however this one ends."""
    path = tmp_path / "tuner.py"
    path.write_text("import optuna\ndef study(info): return optuna.create_study(direction='minimize')\n")
    data = {"method": "custom", "metric": {"name": "loss"}, "parameters": {"x": {"min": 0.0, "max": 1.0}}}
    scheduler = {"engine": "optuna", "source": str(path), "optimizer": "study"}
    spec = load_dict(data | {"scheduler": scheduler}, needs_program=False).require()
    search = make_search(spec, SearchSpace.of(spec.parameters), 5)
    config = search.suggest(0, [], [])
    search.tell(Observation(number=0, config=config, outcome=Outcome.FINISHED, scores=(0.5,), order=0))
    kept = search.remember()
    dialogue = Dialogue(make_search(spec, SearchSpace.of(spec.parameters), 5), known=sweep.known)
    dialogue.restore(kept.search, [Remembered(number=0, config=config, record=kept.trials[0])])
    found = dialogue.heard().memory.trials
    dialogue.close()
    assert '"RUNNING"' in found[0]
