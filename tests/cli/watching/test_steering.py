"""What keys come to, for trials in every state."""

import pytest

from orchestrator.cli.watching.followed import Followed
from orchestrator.cli.watching.steering import Wish, ask, other_concurrency, pause_or_go_on, wish_for_trials
from orchestrator.ledger.records import SweepState, TrialState
from orchestrator.ledger.requests import Action
from tests.cli.watching.live import SPEC, Live


@pytest.fixture
def live(tmp_path):
    found = Live(tmp_path)
    yield found
    found.close()


def test_only_trials_that_can_be_asked_are(live):
    """Of several the others are left out; of none it says why."""
    numbers = [live.begin(), live.begin(), live.begin()]
    live.end(numbers[1], TrialState.FAILED, "boom")
    trials = live.ledger.trials()
    wish = wish_for_trials(Action.STOP, trials)
    assert isinstance(wish, Wish)
    assert [each.trial for each in wish.instructions] == [0, 2]
    assert wish.question == "Stop trials 0, 2? What they showed counts."
    assert wish_for_trials(Action.RETRY, [trials[0]]) == "cannot retry trial 0: it is running"
    assert wish_for_trials(Action.CANCEL, []) == "there is no trial here"
    retry = wish_for_trials(Action.RETRY, trials)
    assert isinstance(retry, Wish)
    assert ask(live.dir, retry) == "trial 1: runs again as soon as there is a slot"
    assert live.asked() == ["retry trial 1"]


@pytest.mark.parametrize(
    ("limit", "by", "expected"),
    [
        (2, 1, "concurrency 2 → 3"),
        (3, 1, "concurrency 3 → 4; 3 fit"),
        (1, -1, "at least one trial runs at once; p pauses the sweep"),
        (None, 1, "there is no limit: 3 trials fit at once"),
        (None, -1, "concurrency 3 → 2"),
    ],
)
def test_concurrency_up_and_down(tmp_path, limit, by, expected):
    """From the limit there is, else from the slots there are."""
    live = Live(tmp_path, SPEC + ("" if limit is None else f"orchestrator: {{concurrency: {limit}}}\n"))
    followed = Followed(live.dir, clock=live.clock)
    wish = other_concurrency(followed.look(), by)
    assert (wish if isinstance(wish, str) else wish.done) == expected
    followed.close()
    live.close()


def test_pause_and_go_on(live):
    """The same key does both."""
    followed = Followed(live.dir, clock=live.clock)
    assert [each.action for each in pause_or_go_on(followed.look()).instructions] == ["pause"]
    live.ledger.sweep.set_state(SweepState.PAUSED)
    assert [each.action for each in pause_or_go_on(followed.look()).instructions] == ["unpause"]
    followed.close()
