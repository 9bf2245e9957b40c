"""What is asked of trials and limits: of a sweep that runs, in virtual time; of one that does not, in its ledger."""

import pytest

from orchestrator.control.steering import changed, steer
from orchestrator.errors import ExitCode, SweepError
from orchestrator.ledger.lock import controlling
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import SweepState
from orchestrator.ledger.requests import Action, Instruction, ask
from orchestrator.search.protocol import Memory
from orchestrator.spec import load_recorded
from orchestrator.trial.contract.events import Cause
from orchestrator.watch.screen import ended_text
from tests.execution.fake_pool import End, FakePool, Log, Wait
from tests.sweeps import RANDOM, Sweep

FAILS = [End(Cause.FAILED, exit_code=1, error="ValueError: bad lr")]
HANGS = [Log({"loss": 0.25}), Wait(float("inf"))]


@pytest.fixture
def sweep(tmp_path):
    """Return `make(run_cap=4, key=value, ...)`: a sweep in a directory of its own; keys have `__` for dots."""

    def make(*, run_cap=4, **changes):
        overrides = {key.replace("__", "."): str(value) for key, value in changes.items()}
        return Sweep(tmp_path, RANDOM.format(run_cap=run_cap), overrides)

    return make


def asks(made, action, trial=None, **changes):
    """What a pool does at some time: another terminal asks."""
    return lambda: ask(made.dir.ledger_path, Instruction(action=action, trial=trial, changes=changes))


def told(made, action, *trials, **changes):
    """Steer it, as the commands do."""
    asked = [Instruction(action=action, trial=n) for n in trials] or [Instruction(action=action, changes=changes)]
    return steer(made.dir, asked)


def trial_0(hangs):
    """A script whose first trial is another."""
    return lambda launch: iter(hangs if launch.trial == 0 else [Log({"loss": 1.0}), Wait(10)])


def test_a_trial_that_its_user_stops_counts_and_says_so(sweep):
    """The others go on; its value may be the best, and its end has a cause of its own."""
    made, pool = sweep(run_cap=3), FakePool(2, trial_0(HANGS))
    pool.at(5, asks(made, Action.STOP, 0))
    end = made.run(pool)
    trial = made.trials()[0]
    assert (end.exit_code, made.states()) == (ExitCode.DONE, ["stopped", "finished", "finished"])
    assert (trial.cause, trial.reason, trial.value) == (Cause.STOPPED_BY_USER, "stopped by its user", 0.25)
    assert pool.stops == [(0, 0, False)]
    assert made.watch.notes == ["asked to stop trial 0 from another terminal"]
    shown = next(event for event in made.watch.events if getattr(event, "trial", None) and event.trial.number == 0)
    assert ended_text(shown) == "trial 0 stopped early after 5.0s, 0.25: stopped by its user"
    with LedgerReader(made.dir.ledger_path) as reader:
        assert [t.number for t in reader.best(1)] == [0]
        assert [each.what for each in reader.decisions(0)] == ["user"]


def test_one_trial_is_canceled_for_good(sweep):
    """Killed at once where it runs, given up where it waits; neither runs again, and the sweep goes on."""
    made, pool = sweep(run_cap=3), FakePool(2, lambda _: iter([Log({"loss": 1.0}), Wait(20)]))
    pool.at(1, asks(made, Action.PAUSE))
    pool.at(3, lambda: pool.lose_worker(0))
    pool.at(5, asks(made, Action.CANCEL, 1))
    pool.at(6, asks(made, Action.CANCEL, 0))
    pool.at(8, asks(made, Action.UNPAUSE))
    made.run(pool)
    assert made.states() == ["canceled", "canceled", "finished"]
    assert [t.reason for t in made.trials()[:2]] == ["its user gave it up"] * 2
    assert pool.stops[0] == (1, 0, True)


def test_a_trial_that_is_over_runs_again_as_a_new_attempt(sweep):
    """However it ended; with all of its retries, and the search knows it once."""
    seen = []

    class Looking:
        def suggest(self, number, observations, pending):
            seen.append([o.number for o in observations])
            return {"lr": number / 10}

    def script(launch):
        if launch.trial == 0 and launch.attempt < 3:
            return iter(FAILS)
        return iter([Log({"loss": 0.5 - launch.attempt / 10}), Wait(10)])

    made, pool = sweep(run_cap=5, orchestrator__retries=1), FakePool(1, script)
    pool.at(5, asks(made, Action.RETRY, 0))
    pool.at(15, asks(made, Action.RETRY, 1))
    made.run(pool, search=Looking())
    assert made.states() == ["finished"] * 5
    assert [t.attempt for t in made.trials()] == [3, 1, 0, 0, 0]
    assert made.trials()[1].value == pytest.approx(0.4)
    assert all(len(numbers) == len(set(numbers)) for numbers in seen)
    assert made.watch.requeued == [0, 0, 0, 1]


class Kept:
    """A search with a study, which writes down what it hears."""

    over = None

    def __init__(self, heard):
        self.heard = heard

    def suggest(self, number, observations, pending):
        return {"lr": number / 10}

    def report(self, number, rows):
        return None

    def tell(self, observation):
        self.heard.append((observation.number, observation.scores))

    def again(self, number):
        self.heard.append(("again", number))

    def remember(self):
        return Memory()

    def remarks(self):
        return ()

    def restore(self, memory, trials): ...
    def forget(self, number): ...
    def abandon(self): ...


def test_a_study_hears_that_a_trial_runs_again(sweep):
    """In order: its end, that it begins anew, its other end; and then it is asked for more."""
    heard = []

    def script(launch):
        return iter([Log({"loss": 0.5 - launch.attempt / 10}), Wait(10)])

    made, pool = sweep(run_cap=3), FakePool(1, script)
    pool.at(15, asks(made, Action.RETRY, 0))
    made.run(pool, search=Kept(heard))
    assert heard == [(0, (0.5,)), ("again", 0), (1, (0.5,)), (0, (0.4,)), (2, (0.5,))]
    assert made.states() == ["finished"] * 3


def test_a_sweep_goes_on_with_other_limits(sweep):
    """More trials, fewer at once, another time-out; the ledger has them for a resume."""
    made, pool = sweep(run_cap=2), FakePool(2, lambda _: iter([Log({"loss": 1.0}), Wait(10)]))
    limits = {"run_cap": "6", "concurrency": "1", "timeout": "1h", "timeout.sweep": "none"}
    pool.at(5, lambda: ask(made.dir.ledger_path, Instruction(action=Action.SET, changes=limits)))
    end = made.run(pool)
    assert (end.exit_code, made.states()) == (ExitCode.DONE, ["finished"] * 6)
    assert [launch.timeout_s for launch in pool.launched] == [None] * 2 + [3600.0] * 4
    assert pool.clock() == pytest.approx(50, abs=2)
    recorded = load_recorded(made.record().spec_text)
    assert (recorded.run_cap, recorded.options.concurrency) == (6, 1)


def test_another_time_out_holds_for_trials_that_run(sweep):
    """Counted from their beginning: one that has had more ends at once, one that may have more goes on; none is none."""
    made, pool = sweep(run_cap=3, orchestrator__timeout__trial="30s"), FakePool(1, lambda _: iter([Wait(40)]))
    pool.at(5, asks(made, Action.SET, timeout="60s"))
    pool.at(50, asks(made, Action.SET, timeout="5s"))
    pool.at(52, asks(made, Action.SET, timeout="none"))
    made.run(pool)
    first, second, third = made.trials()
    assert (first.cause, second.cause, third.cause) == (Cause.FINISHED, Cause.TIMED_OUT, Cause.FINISHED)
    assert second.took_s == pytest.approx(10, abs=1)


def test_a_cap_below_the_trials_there_are_starts_no_more(sweep):
    """Those that run finish, and the count of trials stays true."""
    made, pool = sweep(run_cap=5), FakePool(2, lambda _: iter([Log({"loss": 1.0}), Wait(10)]))
    pool.at(15, asks(made, Action.SET, run_cap="1"))
    made.run(pool)
    assert made.states() == ["finished"] * 4
    assert (made.watch.last_ended.done, made.watch.last_ended.total) == (4, 4)


def test_what_cannot_be_done_any_more_is_said(sweep):
    """A trial that ended meanwhile, a limit that is none: the sweep goes on as it was."""
    made, pool = sweep(run_cap=2), FakePool(1, lambda _: iter([Log({"loss": 1.0}), Wait(10)]))
    pool.at(15, asks(made, Action.STOP, 0))
    pool.at(15, asks(made, Action.STOP, 7))
    pool.at(15, asks(made, Action.SET, run_cap="many"))
    pool.at(15, asks(made, "dance"))
    assert made.run(pool).exit_code is ExitCode.DONE
    notes = "\n".join(made.watch.notes)
    assert "cannot stop trial 0: it is over (finished)" in notes
    assert "cannot stop trial 7: there is no such trial" in notes
    assert "nothing was set" in notes


def test_who_asked_last_and_meant_it_for_good_decides(sweep):
    """Its user's stop overrules Ctrl-C, and a cancel its user's stop; nothing overrules a cancel."""

    def slow_to_end(_):
        yield Log({"loss": 0.25})
        try:
            yield Wait(float("inf"))
        except SystemExit:
            yield Wait(29)

    made, pool = sweep(run_cap=2), FakePool(2, slow_to_end)
    pool.at(5, lambda: setattr(made, "interrupts", 1))
    pool.at(6, asks(made, Action.STOP, 0))
    pool.at(7, asks(made, Action.STOP, 1))
    pool.at(8, asks(made, Action.CANCEL, 1))
    pool.at(9, asks(made, Action.STOP, 1))
    made.run(pool)
    assert made.states() == ["stopped", "canceled"]


def test_a_sweep_that_does_not_run_is_steered_in_its_ledger(sweep):
    """What is asked holds when it is resumed: a retry, a trial given up, limits."""
    made = sweep(run_cap=3)
    pool = FakePool(2, trial_0(FAILS))
    pool.at(5, lambda: setattr(made, "interrupts", 1))
    made.run(pool)
    assert made.states() == ["failed", "pending", "pending"]
    assert told(made, Action.RETRY, 0) is None
    told(made, Action.CANCEL, 2)
    told(made, Action.SET, run_cap="4", concurrency="none")
    assert made.states() == ["pending", "pending", "canceled"]
    assert made.record().state is SweepState.INTERRUPTED
    made.interrupts, made.overrides = 0, {"run_cap": str(load_recorded(made.record().spec_text).run_cap)}
    assert made.run(FakePool(2)).exit_code is ExitCode.DONE
    assert made.states() == ["finished", "finished", "canceled", "finished"]


def test_a_stop_that_its_controller_did_not_live_to_see_holds(sweep):
    """The next one settles the trial as its user asked."""
    made = sweep(run_cap=1)
    ledger = made.ledger()
    ledger.add_trial({"lr": 0.5})
    ledger.begin_attempt(0)
    ledger.close()
    told(made, Action.STOP, 0)
    made.run(FakePool(1))
    assert [(t.state, t.cause) for t in made.trials()] == [("stopped", Cause.STOPPED_BY_USER)]


@pytest.mark.parametrize(
    ("action", "trials", "changes", "said"),
    [
        (Action.STOP, [0], {}, r"cannot stop trial 0 of sweep abcd1234: it is over \(finished\)"),
        (Action.CANCEL, [1, 9], {}, "sweep abcd1234 has no trial 9; its trials are 0 to 2"),
        (Action.STOP, [1], {}, "cannot stop trial 1 .* waits to run again; `sweep cancel` gives it up"),
        (Action.RETRY, [1], {}, "cannot retry trial 1 of sweep abcd1234: it waits to run again"),
        (Action.PAUSE, [], {}, "sweep abcd1234 is not running.\n  `sweep resume abcd1234` goes on with it."),
        (Action.SET, [], {"seed": "3"}, "seed cannot be set in a sweep that has begun; allowed: run_cap, concurrency"),
        (Action.SET, [], {"concurrency": "0"}, "concurrency"),
        (Action.SET, [], {"timeout": "soon"}, "timeout"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(sweep, action, trials, changes, said):
    """All of it is checked before any of it is done."""
    made = sweep(run_cap=3)
    ledger = made.ledger()
    for _ in range(3):
        ledger.add_trial({"lr": 0.5})
    ledger.close()
    made.overrides["run_cap"] = "1"
    with controlling(made.dir.lock_path):
        ask(made.dir.ledger_path, Instruction(action=Action.PAUSE))
    ledger = made.ledger()
    ledger.execute("UPDATE trials SET state = 'finished' WHERE number = 0")
    ledger.close()
    before = made.states(), made.record().spec_text
    with pytest.raises(SweepError, match=said):
        told(made, action, *trials, **changes)
    assert (made.states(), made.record().spec_text) == before


def test_a_sweep_that_runs_is_asked(sweep):
    """Its controller is named, and finds the request."""
    made = sweep(run_cap=1)
    with controlling(made.dir.lock_path):
        assert "pid" in told(made, Action.PAUSE)
    ledger = made.ledger()
    rows = ledger.query("SELECT action FROM requests")
    ledger.close()
    assert [row["action"] for row in rows] == ["pause"]


def test_a_limit_that_is_taken_away_is_gone(sweep):
    """`none` is no limit; what the spec does not have can be taken away too."""
    spec = sweep(run_cap=3, orchestrator__concurrency=2, orchestrator__timeout__trial="5m").spec
    free = changed(
        spec, {"run_cap": "none", "orchestrator.concurrency": "off", "timeout": "none", "timeout.sweep": "null"}
    )
    assert (free.run_cap, free.options.concurrency, free.options.timeout_trial_s) == (None, None, None)
    assert free.parameters == spec.parameters
