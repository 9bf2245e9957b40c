import contextlib
import itertools
import math
import shutil

import pytest

from orchestrator.control.knowledge import SoFar
from orchestrator.errors import ClusterError, ExitCode, LedgerError, SearchSpaceError, SweepGoneError
from orchestrator.execution.protocol import CapacityChanged
from orchestrator.ledger.records import SweepState, TrialState
from orchestrator.ledger.requests import Action, Instruction, ask
from orchestrator.search.protocol import Observation, Outcome
from orchestrator.stopping.protocol import Stop
from orchestrator.trial.contract.events import Cause, Ended, Report, Reported
from tests.execution.fake_pool import End, FakePool, Log, Wait, finishes
from tests.sweeps import GRID, RANDOM, Sweep

FOREVER = Wait(float("inf"))


@pytest.fixture
def sweep(tmp_path):
    """Return `make(text, key=value, ...)`: a sweep in a directory of its own; keys have `__` for dots."""

    def make(text=None, *, run_cap=4, **changes):
        overrides = {key.replace("__", "."): str(value) for key, value in changes.items()}
        return Sweep(tmp_path, text or RANDOM.format(run_cap=run_cap), overrides)

    return make


def takes(seconds, loss=1.0):
    """A script that reports once and takes a while."""

    def script(_):
        yield Log({"loss": loss})
        yield Wait(seconds)

    return script


def by_trial(**scripts):
    """A script per trial: ``t0=..., rest=...``."""

    def script(launch):
        chosen = scripts.get(f"t{launch.trial}", scripts.get("rest", [Log({"loss": 1.0})]))
        return chosen(launch) if callable(chosen) else iter(chosen)

    return script


FAILS = [End(Cause.FAILED, exit_code=1, error="ValueError: bad lr", log_tail=("Traceback", "ValueError: bad lr"))]


def test_every_slot_is_filled_until_the_cap_is_reached(sweep):
    """As many trials run at once as fit, and each one that ends makes room for the next."""
    made, pool = sweep(run_cap=5), FakePool(2, takes(10))
    end = made.run(pool)
    assert (end.exit_code, made.states()) == (ExitCode.DONE, ["finished"] * 5)
    assert pool.clock() == pytest.approx(30, abs=1.5)
    assert max(len(progress.running) for progress in made.watch.shown) == 2


def test_concurrency_bounds_what_runs_at_once(sweep):
    """`orchestrator.concurrency` holds however many slots there are."""
    made, pool = sweep(run_cap=6, orchestrator__concurrency=2), FakePool(8, takes(10))
    made.run(pool)
    assert max(len(progress.running) for progress in made.watch.shown) == 2


def test_a_launch_is_in_the_ledger_before_a_worker_hears_of_it(sweep):
    """Write first, then ask: the pool never gets an attempt that the file does not have."""
    made = sweep(run_cap=3)

    class Checking(FakePool):
        def launch(self, launch, **how):
            known.append((made.trials()[launch.trial].state, made.trials()[launch.trial].attempt == launch.attempt))
            super().launch(launch, **how)

    known = []
    made.run(Checking(2))
    assert known == [(TrialState.RUNNING, True)] * 3


def test_a_node_that_joins_is_used_at_once(sweep):
    """Capacity is looked at before every launch."""
    made, pool = sweep(run_cap=4), FakePool(1, takes(10))
    pool.at(1, lambda: pool.join(3))
    made.run(pool)
    assert pool.clock() < 15


def test_a_trial_that_fails_is_a_result(sweep):
    """It is shown with its error, its last lines and its log; the others go on."""
    made = sweep(run_cap=3)
    end = made.run(FakePool(1, by_trial(t0=FAILS)))
    failed = made.watch.of(type(made.watch.last_ended))[0]
    assert made.states() == ["failed", "finished", "finished"]
    assert (failed.trial.error, failed.log_tail[-1]) == ("ValueError: bad lr", "ValueError: bad lr")
    assert failed.log_path.endswith("trials/0000/output.log")
    assert end.exit_code is ExitCode.DONE


def test_a_failure_is_tried_again_as_often_as_the_spec_forgives(sweep):
    """`retries: 2` means three attempts, then failed."""
    made, pool = sweep(run_cap=1, orchestrator__retries=2), FakePool(1, by_trial(t0=FAILS))
    end = made.run(pool)
    assert [(a.trial, a.attempt) for a in pool.launched] == [(0, 0), (0, 1), (0, 2)]
    assert (made.states(), end.exit_code) == (["failed"], ExitCode.NO_TRIAL_SUCCEEDED)


def test_a_retry_that_works_is_a_success(sweep):
    """What counts is the last attempt."""
    made = sweep(run_cap=1, orchestrator__retries=1)
    pool = FakePool(1, lambda launch: iter(FAILS if launch.attempt == 0 else [Log({"loss": 0.5})]))
    assert made.run(pool).exit_code is ExitCode.DONE
    assert made.watch.requeued == [0]


def test_losses_do_not_count_as_failures(sweep):
    """A trial whose worker, node or spot machine goes away runs again with `retries: 0`."""
    made, pool = sweep(run_cap=1), FakePool([1, 1, 1], takes(10))
    pool.at(1, lambda: pool.lose_worker(0))
    pool.at(3, lambda: pool.lose_node(0))
    pool.at(5, lambda: pool.lose_node(1, cause=Cause.PREEMPTED))
    assert made.run(pool).exit_code is ExitCode.DONE
    assert [a.attempt for a in pool.launched] == [0, 1, 2, 3]
    assert made.states() == ["finished"]


def test_a_trial_that_kills_its_workers_fails_in_the_end(sweep):
    """Five losses of one trial are its own doing."""
    made = sweep(run_cap=1)
    pool = FakePool(1, lambda _: [End(Cause.WORKER_LOST, exit_code=None)])
    assert made.run(pool).exit_code is ExitCode.NO_TRIAL_SUCCEEDED
    assert len(pool.launched) == 5
    assert "lost its worker 5 times" in made.trials()[0].reason


@pytest.mark.parametrize("cause", [Cause.OUT_OF_MEMORY, Cause.NO_METRIC, Cause.NOT_STARTED])
def test_what_trying_again_cannot_help_fails_at_once(sweep, cause):
    """Memory, a missing metric and a program that does not start are not retried."""
    made = sweep(run_cap=1, orchestrator__retries=3)
    pool = FakePool(1, lambda _: [End(cause, exit_code=1, error="never reported 'loss', but 'losss'")])
    made.run(pool)
    trial = made.trials()[0]
    assert (len(pool.launched), trial.state, trial.cause) == (1, TrialState.FAILED, cause)
    assert trial.error == "never reported 'loss', but 'losss'"


def test_the_same_first_error_stops_the_sweep_and_is_shown(sweep):
    """A broken program fails five times, not a thousand; numbers in the message do not make it another error."""
    made = sweep(run_cap=1000)
    pool = FakePool(1, lambda a: iter([End(Cause.FAILED, exit_code=1, error=f"ValueError: lr {a.trial / 7}")]))
    end = made.run(pool)
    assert len(pool.launched) == 5
    assert (end.exit_code, made.record().state) == (ExitCode.NO_TRIAL_SUCCEEDED, SweepState.FAILED)
    assert "ValueError: lr 0.57" in end.reason


def test_different_errors_do_not_stop_the_sweep(sweep):
    """Configs may be bad in many ways."""
    made = sweep(run_cap=8)
    pool = FakePool(1, lambda a: iter([End(Cause.FAILED, exit_code=1, error=f"Error{'ab'[a.trial % 2]}: no")]))
    made.run(pool)
    assert made.states() == ["failed"] * 8


def test_after_a_success_failures_are_about_configs(sweep):
    """Also when the success was under an earlier controller."""
    made = sweep(run_cap=1)
    made.run(FakePool(1))
    made.overrides["run_cap"] = "9"
    made.run(FakePool(1, by_trial(rest=FAILS)))
    assert made.states() == ["finished"] + ["failed"] * 8


def test_the_other_trials_of_a_broken_program_wait_for_the_repair(sweep):
    """They were asked to end and are pending, not failed."""
    made = sweep(run_cap=10)
    made.run(FakePool(2, by_trial(t0=[FOREVER], rest=FAILS)))
    assert made.states() == ["pending"] + ["failed"] * 5


def test_events_of_an_attempt_that_is_over_are_ignored(sweep):
    """A worker that was given up and speaks again changes nothing."""
    made = sweep(run_cap=1)
    pool = FakePool(1, takes(10))

    def ghost():
        report = Report(index=9, time=0.0, step=None, metrics={"loss": -1.0})
        pool._events.append(Reported(trial=0, attempt=0, reports=(report,)))
        pool._events.append(Ended(trial=0, attempt=0, time=0.0, cause=Cause.FINISHED, exit_code=0))

    pool.at(2, lambda: pool.lose_worker(0))
    pool.at(3, ghost)
    made.run(pool)
    trial = made.trials()[0]
    assert (trial.attempt, trial.value, pool.clock() >= 12) == (1, 1.0, True)


def test_an_unknown_trial_is_ignored(sweep):
    """Nor does one that this sweep never had."""
    made, pool = sweep(run_cap=1), FakePool(1, takes(5))
    pool.at(1, lambda: pool._events.append(Ended(trial=77, attempt=0, time=0.0, cause=Cause.FINISHED)))
    made.run(pool)
    assert made.states() == ["finished"]


def test_each_improvement_is_announced_once(sweep):
    """With the report it came from."""
    made = sweep(run_cap=2)
    values = (3.0, 5.0, 2.5)
    made.run(FakePool(1, lambda a: [Log({"loss": value - a.trial}, after_s=1) for value in values]))
    assert made.watch.bests == [3.0, 2.5, 2.0, 1.5]


def test_a_best_trial_that_fails_loses_its_place(sweep):
    """What a failed trial reported cannot be the best."""
    made = sweep(run_cap=2)
    made.run(FakePool(1, by_trial(t0=[Log({"loss": 0.1}), *FAILS], t1=[Log({"loss": 0.7})])))
    assert made.watch.shown[-1].best.number == 1


def test_a_best_trial_that_starts_over_is_judged_by_its_new_attempt(sweep):
    """Its values from before are gone, so another trial may be the best now."""
    made = sweep(run_cap=2)

    def script(launch):
        if launch.trial == 1:
            return iter([Log({"loss": 0.5}, after_s=1), Wait(50)])
        return iter([Log({"loss": 0.1 if launch.attempt == 0 else 0.9}, step=0, after_s=1), Wait(50)])

    pool = FakePool(2, script)
    pool.at(5, lambda: pool.lose_worker(0))
    made.run(pool)
    best = made.watch.shown[-1].best
    assert (best.number, best.value) == (1, 0.5)


def test_a_value_that_is_not_finite_is_never_the_best(sweep):
    """NaN compares as nothing."""
    made = sweep(run_cap=1, orchestrator__stop_when="never")
    made.run(FakePool(1, lambda _: [Log({"loss": math.nan}), Log({"loss": 4.0}), Log({"loss": -math.inf})]))
    assert made.watch.bests == [4.0]


def test_timeout_sweep_ends_what_runs_and_is_resumable(sweep):
    """Exit code 4; what ran is pending again."""
    made, pool = sweep(run_cap=10, orchestrator__timeout__sweep="25s"), FakePool(1, takes(10))
    end = made.run(pool)
    assert (end.exit_code, made.record().state) == (ExitCode.BUDGET_STOPPED, SweepState.INTERRUPTED)
    assert made.states() == ["finished", "finished", "pending"]
    assert "timeout.sweep of 25 s is over" in end.reason


def test_the_sweeps_time_goes_on_over_all_its_controllers(sweep):
    """Resuming does not give it a new budget; a longer one does."""
    made = sweep(run_cap=10, orchestrator__timeout__sweep="25s")
    made.run(FakePool(1, takes(10)))
    again = FakePool(1, takes(10))
    assert made.run(again).exit_code is ExitCode.BUDGET_STOPPED
    assert again.launched == []
    made.overrides["orchestrator.timeout.sweep"] = "1h"
    assert made.run(FakePool(1, takes(10))).exit_code is ExitCode.DONE
    assert made.watch.shown[-1].elapsed_s == pytest.approx(25 + 80, abs=5)


def test_a_dead_controllers_time_counts(sweep):
    """The time sheet is kept while the sweep runs."""
    made, pool = sweep(run_cap=1), FakePool(1, takes(100))

    def die():
        raise ClusterError("gone")

    pool.at(60, die)
    with pytest.raises(ClusterError):
        made.run(pool)
    assert 40 < made.record().active_s <= 60


def test_timeout_trial_ends_a_trial_that_hangs(sweep):
    """Its cause says so, the others go on."""
    made = sweep(run_cap=2, orchestrator__timeout__trial="30s")
    made.run(FakePool(1, by_trial(t0=[FOREVER])))
    trial = made.trials()[0]
    assert (trial.state, trial.cause) == (TrialState.FAILED, Cause.TIMED_OUT)
    assert made.states()[1] == "finished"


def test_a_target_that_is_reached_ends_the_sweep_softly(sweep):
    """As on W&B: no new trials, running ones finish. A report is enough, the trial need not have ended."""
    made = sweep(run_cap=10, metric__target=0.5)
    pool = FakePool(2, by_trial(t0=[Log({"loss": 0.4}, after_s=5), Wait(20)], rest=takes(30)))
    end = made.run(pool)
    assert (end.exit_code, made.states(), pool.stops) == (ExitCode.DONE, ["finished"] * 2, [])
    assert end.reason == "trial 0 reached the target 0.5"


def test_a_target_to_maximise_is_turned(sweep):
    """At least the target, not at most."""
    made = sweep(run_cap=3, metric__goal="maximize", metric__target=0.9)
    end = made.run(FakePool(1, lambda a: [Log({"loss": (0.1, 0.95, 0.2)[a.trial]})]))
    assert (len(made.states()), end.reason) == (2, "trial 1 reached the target 0.9")


def test_a_reached_target_still_holds_after_resuming(sweep):
    """No trial is launched to find out again."""
    made = sweep(run_cap=10, metric__target=2)
    made.run(FakePool(1))
    again = FakePool(1)
    assert (made.run(again).exit_code, again.launched) == (ExitCode.DONE, [])


def test_a_grid_is_covered_exactly(sweep):
    """Every combination once, then the sweep is over."""
    made = sweep(GRID)
    end = made.run(FakePool(4, by_trial(t1=FAILS)))
    configs = [tuple(trial.config.values()) for trial in made.trials()]
    assert sorted(configs) == [(a, b) for a in (1, 2, 3) for b in "xy"]
    assert (end.exit_code, end.reason) == (ExitCode.DONE, "every config of the space has been tried")


def test_the_first_configs_come_first(sweep):
    """What its author wants tried before the search begins."""
    made = sweep(run_cap=3, orchestrator__first="[{lr: 0.25}, {lr: 0.75}]")
    made.run(FakePool(1))
    assert [trial.config["lr"] for trial in made.trials()][:2] == [0.25, 0.75]


def test_the_search_sees_prior_trials_first_and_every_end_in_order(sweep):
    """Observations grow in the order of completion; what runs is pending."""
    prior = Observation(number=-1, config={"lr": 0.5}, outcome=Outcome.FINISHED, scores=(0.3,))
    asked = []

    class Note:
        def suggest(self, number, observations, pending):
            asked.append((number, [o.number for o in observations], [p.number for p in pending]))
            return {"lr": 0.1}

    script = by_trial(t0=takes(30), t1=FAILS, rest=takes(10))
    sweep(run_cap=4).run(FakePool(2, script), search=Note(), prior=[prior])
    assert asked == [(0, [-1], []), (1, [-1], [0]), (2, [-1, 1], [0]), (3, [-1, 1, 2], [0])]


def test_an_adaptive_search_is_asked_ahead(sweep):
    """The next config is there when a slot gets free: the search has seen every trial but the one that just ended."""
    told = []

    class Slow:
        def suggest(self, number, observations, pending):
            told.append((number, len(observations), len(pending)))
            return {"lr": number / 10}

    made = sweep(run_cap=3)
    made.run(FakePool(1, takes(0)), search=Slow(), adaptive=True)
    assert made.states() == ["finished"] * 3
    assert told[1][2] == 1


def test_a_search_that_fails_lets_the_running_trials_finish(sweep):
    """Hours of training are not thrown away for a bug in somebody's optimizer file."""

    class Broken:
        def suggest(self, number, observations, pending):
            if number == 2:
                raise KeyError("alpha")
            return {"lr": 0.1}

    made = sweep(run_cap=5)
    end = made.run(FakePool(3, takes(20)), search=Broken())
    assert (end.exit_code, made.states()) == (ExitCode.INTERRUPTED, ["finished"] * 2)
    assert end.reason == "the search has no config for trial 2: KeyError: 'alpha'"


def test_an_error_of_ours_in_the_search_is_told_as_it_is(sweep):
    """Without its class name."""

    class Refuses:
        def suggest(self, number, observations, pending):
            raise SearchSpaceError("too many objectives")

    end = sweep().run(FakePool(1), search=Refuses())
    assert end.reason == "the search has no config for trial 0: too many objectives"


def test_what_several_metrics_make_incomplete_is_no_observation(sweep):
    """A trial that reported one of two objectives teaches the search nothing."""
    told = []

    class Note:
        def suggest(self, number, observations, pending):
            told[:] = [(o.outcome, o.scores) for o in observations]
            return {"lr": 0.1}

    made = sweep(run_cap=3, metrics="[{name: loss}, {name: acc, goal: maximize}]", metric="null")
    script = by_trial(t0=[Log({"loss": 1.0, "acc": 0.5})], t1=[Log({"loss": 1.0})])
    made.run(FakePool(1, script), search=Note())
    assert told == [(Outcome.FINISHED, (1.0, -0.5)), (Outcome.FAILED, ())]


class StopAfter:
    """Ends trial 0 once it has reported twice."""

    def decide(self, curves, changed):
        return [Stop(trial=0, reason="worse than the rest")] if 0 in changed and len(curves[0].scores) >= 2 else []


def reports_every_second(_):
    while True:
        yield Log({"loss": 2.0}, after_s=1)


def test_a_decision_is_in_the_ledger_before_the_signal(sweep):
    """The file has the reason when the worker hears of it; the trial is stopped, and what it showed counts."""
    made = sweep(run_cap=1)
    known = []

    class Checking(FakePool):
        def stop(self, trial, attempt, *, kill=False):
            ledger = made.ledger()
            known.append(ledger.decisions.asked(ledger.trial(trial)))
            ledger.close()
            super().stop(trial, attempt, kill=kill)

    end = made.run(Checking(1, reports_every_second), rule=StopAfter())
    trial = made.trials()[0]
    assert known == [("rule", "worse than the rest")]
    assert (trial.state, trial.reason, trial.value) == (TrialState.STOPPED, "worse than the rest", 2.0)
    assert end.exit_code is ExitCode.DONE


def test_a_trial_is_asked_once(sweep):
    """A rule that repeats itself changes nothing; a trial that ignores SIGTERM is not asked again for each report."""

    def deaf(_):
        while True:
            try:
                yield Log({"loss": 2.0}, after_s=1)
            except SystemExit:
                continue

    made, pool = sweep(run_cap=1), FakePool(1, deaf)
    made.run(pool, rule=StopAfter())
    assert pool.stops == [(0, 0, False)]


def test_a_trial_that_finishes_while_it_is_asked_to_end_has_finished(sweep):
    """Whatever was asked: exit code 0 is the end of its work."""
    made, pool = sweep(run_cap=1), FakePool(1, lambda _: [Wait(10), Log({"loss": 1.0})])
    pool.at(10, lambda: ask(made.dir.ledger_path, Instruction(action=Action.CANCEL)))
    made.run(pool)
    assert made.states() == ["finished"]


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"orchestrator__stop": "{training_iteration: 3}"}, 0.7),
        ({"orchestrator__stop": "{time_total_s: 40}"}, 0.5),
        ({"orchestrator__stop": "{odd: 2}"}, 0.8),
        ({"early_terminate": "{type: asha, max_t: 4, min_iter: 4}"}, 0.6),
    ],
)
def test_a_trial_that_reaches_a_limit_has_finished(sweep, extra, expected):
    """A program that never ends is ended by what the spec says; what it showed counts, and nothing runs again."""

    def endless(_launch):
        for n in itertools.count(1):
            yield Log({"loss": 1.0 - n / 10, "odd": float(n)}, after_s=10)

    made = sweep(run_cap=2, **extra)
    pool = FakePool(2, endless)
    end = made.run(pool)
    assert (end.exit_code, made.states()) == (ExitCode.DONE, ["finished"] * 2)
    assert [round(trial.value, 6) for trial in made.trials()] == [expected] * 2
    assert [kill for _, _, kill in pool.stops] == [False, False]


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_a_sweep_whose_directory_is_gone_says_so_at_once(sweep, how):
    """What would be written into a deleted ledger is lost: nothing more is launched, and nothing is said to be there."""
    made = sweep(run_cap=4)
    place = made.dir.path

    def take_away():
        place.rename(place.with_name("moved"))
        if how == "deleted":
            shutil.rmtree(place.with_name("moved"))
        if how == "replaced":
            shutil.copytree(place.with_name("moved"), place)

    pool = FakePool(1, takes(100))
    pool.at(150, take_away)
    with pytest.raises(SweepGoneError, match="is gone: it was deleted or moved while the sweep ran"):
        made.run(pool)
    assert pool.clock() < 151
    assert len(pool.launched) == 2


def test_stop_lets_the_running_trials_finish(sweep):
    """No new ones; the sweep says so while it winds down, and ends well though nothing had succeeded when it was asked."""
    made, pool, seen = sweep(run_cap=10), FakePool(2, takes(20)), []
    pool.at(5, lambda: ask(made.dir.ledger_path, Instruction(action=Action.STOP)))
    pool.at(10, lambda: seen.append(made.record().state))
    end = made.run(pool)
    assert (seen, made.states()) == ([SweepState.STOPPING], ["finished"] * 2)
    assert (end.exit_code, end.reason) == (ExitCode.DONE, "stopped on request")
    assert made.watch.notes == ["asked to stop from another terminal"]


def test_a_trial_that_is_lost_after_stop_waits_for_a_resume(sweep):
    """Nothing is launched any more, so the sweep is not over but interrupted, and says why."""
    made, pool = sweep(run_cap=2), FakePool([1, 1], takes(20))
    pool.at(5, lambda: ask(made.dir.ledger_path, Instruction(action=Action.STOP)))
    pool.at(10, lambda: pool.lose_node(0))
    end = made.run(pool)
    assert (end.exit_code, made.record().state) == (ExitCode.INTERRUPTED, SweepState.INTERRUPTED)
    assert end.reason == "stopped on request; 1 trial waits to run again"
    assert made.states() == ["pending", "finished"]
    assert made.run(FakePool(1, takes(1))).exit_code is ExitCode.DONE
    assert (made.states(), made.record().state) == (["finished"] * 2, SweepState.FINISHED)


def test_a_trial_that_is_lost_after_the_target_was_reached_is_not_missed(sweep):
    """The sweep is over: it has what it was for."""
    made = sweep(run_cap=3, metric__target=0.5)
    pool = FakePool([1, 1], lambda a: iter([Log({"loss": 0.1 if a.trial else 0.9}), Wait(20)]))
    pool.at(10, lambda: pool.lose_node(0))
    end = made.run(pool)
    assert (end.exit_code, made.record().state) == (ExitCode.DONE, SweepState.FINISHED)
    assert "reached the target" in end.reason


def test_cancel_kills_what_runs_for_good(sweep):
    """Canceled trials do not run again when the sweep is resumed."""
    made, pool = sweep(run_cap=3), FakePool(2, takes(20))
    pool.at(5, lambda: ask(made.dir.ledger_path, Instruction(action=Action.CANCEL)))
    end = made.run(pool)
    assert (end.exit_code, made.states()) == (ExitCode.INTERRUPTED, ["canceled"] * 2)
    assert pool.stops == [(0, 0, True), (1, 0, True)]
    assert made.run(FakePool(2, takes(1))).exit_code is ExitCode.DONE
    assert made.states() == ["canceled", "canceled", "finished"]


def test_pause_holds_until_unpause(sweep):
    """Running trials finish, none are launched, nothing is wanted, and the sweep waits however long it takes."""
    made, pool, seen = sweep(run_cap=4), FakePool(2, takes(10)), []
    pool.at(5, lambda: ask(made.dir.ledger_path, Instruction(action=Action.PAUSE)))
    pool.at(500, lambda: seen.append((len(pool.launched), made.record().state, pool.wanted)))
    pool.at(510, lambda: ask(made.dir.ledger_path, Instruction(action=Action.UNPAUSE)))
    end = made.run(pool)
    assert seen == [(2, SweepState.PAUSED, 0)]
    assert (end.exit_code, made.states()) == (ExitCode.DONE, ["finished"] * 4)
    assert any(progress.paused for progress in made.watch.shown)


def test_a_paused_sweep_can_be_stopped(sweep):
    """It does not wait for an unpause that never comes."""
    made, pool = sweep(run_cap=4), FakePool(1, takes(10))
    pool.at(5, lambda: ask(made.dir.ledger_path, Instruction(action=Action.PAUSE)))
    pool.at(50, lambda: ask(made.dir.ledger_path, Instruction(action=Action.STOP)))
    assert made.run(pool).reason == "stopped on request"


def test_a_sweep_that_stops_says_so_whatever_else_is_asked(sweep):
    """It is neither paused nor does it go on."""
    made, pool, states = sweep(run_cap=4), FakePool(1, takes(20)), []
    for at_s, action in ((3, Action.STOP), (5, Action.PAUSE), (9, Action.UNPAUSE)):
        pool.at(at_s, lambda action=action: ask(made.dir.ledger_path, Instruction(action=action)))
        pool.at(at_s + 1.5, lambda: states.append(made.record().state))
    assert made.run(pool).reason == "stopped on request"
    assert states == [SweepState.STOPPING] * 3


def test_requests_to_an_earlier_controller_are_forgotten(sweep):
    """A cancel that came when the sweep was ending does not hit the one that resumes it."""
    made = sweep(run_cap=1)
    made.run(FakePool(1))
    ask(made.dir.ledger_path, Instruction(action=Action.CANCEL))
    made.overrides["run_cap"] = "2"
    assert made.run(FakePool(1)).exit_code is ExitCode.DONE


def test_ctrl_c_once_asks_and_keeps_everything(sweep):
    """Trials get SIGTERM and their grace; they are pending, for `sweep resume`."""
    made, pool = sweep(run_cap=5), FakePool(2, takes(20))
    pool.at(5, lambda: setattr(made, "interrupts", 1))
    end = made.run(pool)
    assert (end.exit_code, made.states()) == (ExitCode.INTERRUPTED, ["pending"] * 2)
    assert [kill for _, _, kill in pool.stops] == [False, False]
    assert made.record().state is SweepState.INTERRUPTED
    assert "Ctrl-C again" in made.watch.notes[0]
    assert len(made.watch.notes[0]) <= 58, "it is cut in 60 columns"


def test_ctrl_c_twice_kills(sweep):
    """Trials that take their time to end are killed now; whoever looks sees that the sweep is stopping, before."""
    states = []

    def slow_to_end(_):
        try:
            yield FOREVER
        except SystemExit:
            yield Wait(29)

    made, pool = sweep(run_cap=5), FakePool(1, slow_to_end)
    pool.at(5, lambda: setattr(made, "interrupts", 1))
    pool.at(7, lambda: states.append(made.record().state))
    pool.at(8, lambda: setattr(made, "interrupts", 2))
    made.run(pool)
    assert pool.stops == [(0, 0, False), (0, 0, True)]
    assert states == [SweepState.STOPPING]
    assert pool.clock() < 10
    assert made.states() == ["pending"]


def test_ctrl_c_while_trials_finish_says_interrupted(sweep):
    """The sweep was going to end well; cut short it is one to resume."""
    made, pool = sweep(run_cap=5), FakePool(1, takes(20))
    pool.at(2, lambda: ask(made.dir.ledger_path, Instruction(action=Action.STOP)))
    pool.at(5, lambda: setattr(made, "interrupts", 1))
    assert made.run(pool).exit_code is ExitCode.INTERRUPTED
    assert made.states() == ["pending"]


def test_cancel_overrules_ctrl_c(sweep):
    """For good is for good, also for trials that were already asked to end for now."""

    def slow_to_end(_):
        try:
            yield FOREVER
        except SystemExit:
            yield Wait(29)

    made, pool = sweep(run_cap=5), FakePool(1, slow_to_end)
    pool.at(5, lambda: setattr(made, "interrupts", 1))
    pool.at(8, lambda: ask(made.dir.ledger_path, Instruction(action=Action.CANCEL)))
    assert made.run(pool).exit_code is ExitCode.INTERRUPTED
    assert made.states() == ["canceled"]


def dies_at(made, moment):
    """Run until the ledger's write number `moment` and fail there, if it comes that far."""
    count = 0

    def on_commit(_):
        nonlocal count
        count += 1
        if count == moment:
            raise RuntimeError("power cut")

    pool = FakePool(2, by_trial(t1=FAILS, rest=takes(3)))
    with contextlib.suppress(RuntimeError):
        made.run(pool, on_commit=on_commit)


@pytest.mark.parametrize("moment", range(1, 60, 4))
def test_a_sweep_goes_on_from_whatever_its_ledger_holds(sweep, moment):
    """Cut off at a write, then resumed: every config of the grid ends once, and nothing that had ended runs again."""
    made = sweep(GRID)
    dies_at(made, moment)
    before = {trial.number for trial in made.trials() if trial.state in {TrialState.FINISHED, TrialState.FAILED}}
    pool = FakePool(2, by_trial(t1=FAILS, rest=takes(3)))
    assert made.run(pool).exit_code is ExitCode.DONE
    assert not before & {launch.trial for launch in pool.launched}
    assert sorted(made.states()) == ["failed"] + ["finished"] * 5
    assert sorted(tuple(t.config.values()) for t in made.trials()) == [(a, b) for a in (1, 2, 3) for b in "xy"]


def test_a_finished_sweep_runs_nothing_again(sweep):
    """Resuming it ends at once."""
    made = sweep(run_cap=3)
    made.run(FakePool(1))
    again = FakePool(1)
    end = made.run(again)
    assert (again.launched, end.exit_code, end.reason) == ([], ExitCode.DONE, "all 3 trials are done")


def test_a_higher_cap_continues_with_the_same_configs_as_one_run_would(sweep, tmp_path):
    """Draws depend on seed and number: 2 trials and then 2 more are the 4 trials of one run."""
    parts = sweep(run_cap=2)
    parts.run(FakePool(1))
    parts.overrides["run_cap"] = "4"
    parts.run(FakePool(1))
    (tmp_path / "other").mkdir()
    whole = Sweep(tmp_path / "other", RANDOM.format(run_cap=4))
    whole.run(FakePool(1))
    assert [t.config for t in parts.trials()] == [t.config for t in whole.trials()]


def test_failures_of_earlier_controllers_count_for_retries(sweep):
    """A trial does not get a new set of retries with each resume."""
    made = sweep(run_cap=1, orchestrator__retries=1)
    pool = FakePool(1, by_trial(t0=[Wait(1), *FAILS]))
    pool.at(1.5, lambda: setattr(made, "interrupts", 2))
    made.run(pool)
    made.interrupts = 0
    again = FakePool(1, by_trial(t0=FAILS))
    made.run(again)
    assert (len(again.launched), made.states()) == (1, ["failed"])


def test_why_nothing_can_run_is_said_once(sweep):
    """And again when it comes back after a trial could run."""
    made, pool = sweep(run_cap=1), FakePool(0, takes(1))
    pool.problem = "a trial wants 2 GPUs, but the largest node has 1 GPU"
    pool.at(30, lambda: pool.join(1))
    made.run(pool)
    assert made.watch.notes == ["a trial wants 2 GPUs, but the largest node has 1 GPU"]
    assert made.watch.shown[0].problem == pool.problem


def test_warnings_of_the_cluster_are_said(sweep):
    """A node that cannot be used is named."""
    made, pool = sweep(run_cap=1), FakePool(1, takes(10))
    pool.at(2, lambda: setattr(pool, "warnings", ("node b does not see the runs directory",)))
    pool.at(2, lambda: pool._events.append(CapacityChanged(capacity=pool.capacity())))
    made.run(pool)
    assert made.watch.notes == ["node b does not see the runs directory"]


def test_a_sweep_that_can_never_run_ends_with_the_reason(sweep):
    """On one machine without the GPUs, waiting would be for ever: exit code 3."""
    made, pool = sweep(run_cap=1), FakePool(0)
    pool.problem, pool.hopeless, pool.final = "a trial wants 2 GPUs, but the largest node has 1 GPU", True, True
    with pytest.raises(ClusterError, match="the largest node has 1 GPU") as caught:
        made.run(pool)
    assert "--gpus-per-trial" in str(caught.value)
    assert made.watch.notes == []
    assert caught.value.exit_code == ExitCode.CLUSTER_UNAVAILABLE


def test_a_cluster_without_a_fitting_node_is_waited_for_and_not_for_ever(sweep):
    """Ten minutes by default, said beforehand; then exit code 3. A node that comes in time is used."""
    made, pool = sweep(run_cap=1), FakePool(0)
    pool.problem, pool.hopeless = "a trial wants 2 GPUs, but the largest node has 1 GPU", True
    with pytest.raises(ClusterError, match=r"the largest node has 1 GPU; no other node came within 10m") as caught:
        made.run(pool)
    assert caught.value.exit_code == ExitCode.CLUSTER_UNAVAILABLE
    assert pool.clock() == pytest.approx(600, abs=1)
    assert made.watch.notes == [f"{pool.problem}; waiting up to 10m00s for one that can (--wait)"]
    late = FakePool(0)
    late.problem, late.hopeless = pool.problem, True
    late.at(599, lambda: late.join(1))
    assert made.run(late).exit_code is ExitCode.DONE


def on_nodes(pool_of, **scripts):
    """A script by the node that it runs on: ``node0=..., rest=...``."""

    def script(launch):
        return scripts.get(pool_of().now_on, scripts.get("rest", finishes))(launch)

    return script


def broken(launch):
    yield End(Cause.FAILED, exit_code=1, error=f"FileNotFoundError: train.py (lr={launch.config['lr']})", after_s=1)


@pytest.mark.parametrize("bad", ["node0", "node1"])
def test_a_node_on_which_nothing_works_costs_its_place_and_no_trial(sweep, bad):
    """Its trials run elsewhere, as if they never had; the node is named with the reason, once."""
    made = sweep(run_cap=12)
    pool = FakePool([2, 2], on_nodes(lambda: pool, **{bad: broken}, rest=takes(5)))
    end = made.run(pool)
    assert (end.exit_code, made.states()) == (ExitCode.DONE, ["finished"] * 12)
    assert list(pool.left_out) == [bad]
    (note,) = made.watch.notes
    assert note.startswith(f"node {bad} gets no more trials: there alone they fail before they log anything (trials ")
    assert "FileNotFoundError: train.py" in note
    assert len(pool.launched) < 20


def test_a_bad_node_costs_nothing_while_the_good_one_is_slow(sweep):
    """Long before any trial has logged a row, the bad node has had its chance; the sweep waits for the good one."""
    made = sweep(run_cap=6)
    pool = FakePool([1, 4], on_nodes(lambda: pool, node1=broken, rest=lambda _: [Wait(100), Log({"loss": 1.0})]))
    end = made.run(pool)
    assert (end.exit_code, made.states(), list(pool.left_out)) == (ExitCode.DONE, ["finished"] * 6, ["node1"])


def test_a_broken_program_is_no_node_s_fault(sweep):
    """What fails alike on every node ends the sweep as on one."""
    made = sweep(run_cap=40)
    pool = FakePool([2, 2, 2], broken)
    end = made.run(pool)
    assert end.exit_code is ExitCode.NO_TRIAL_SUCCEEDED
    assert "the first 5 trials all failed with the same error: FileNotFoundError" in end.reason
    assert (pool.left_out, len(pool.launched) < 25) == ({}, True)


def test_a_cluster_is_asked_for_as_many_slots_as_trials_are_left(sweep):
    """What could run at once if there were room; nothing more when all are done."""
    made, pool = sweep(run_cap=7), FakePool(2, takes(10))
    wanted = []
    for moment in (1, 11, 21):
        pool.at(moment, lambda: wanted.append(pool.wanted))
    made.run(pool)
    assert wanted == [7, 5, 3]


def test_a_trial_that_cannot_be_launched_ends_the_sweep_softly(sweep):
    """A script that is deleted half way leaves the trial pending; the running ones finish."""
    made, pool = sweep(run_cap=5), FakePool(1, takes(10))
    pool.at(5, (made.runs / "train.py").unlink)
    end = made.run(pool)
    assert (end.exit_code, made.states()) == (ExitCode.INTERRUPTED, ["finished", "pending"])
    assert "trial 1 cannot be launched: program train.py does not exist" in end.reason
    (made.runs / "train.py").touch()
    assert made.run(FakePool(1)).exit_code is ExitCode.DONE


def test_a_ledger_that_cannot_be_written_ends_the_controller(sweep):
    """The error names the file and the remedy; what was committed is resumable."""
    made, pool = sweep(run_cap=500), FakePool(2, takes(1))
    pool.at(3, lambda: fill_up(made.open))
    with pytest.raises(LedgerError, match="disk is full\n  free some space, then go on with `sweep resume`"):
        made.run(pool)
    assert made.run(FakePool(2)).exit_code is ExitCode.DONE


def fill_up(ledger):
    """Let the database have no more pages, as on a full disk."""
    (pages,) = ledger.connection.execute("PRAGMA page_count").fetchone()
    ledger.connection.execute(f"PRAGMA max_page_count = {pages}")


def test_progress_adds_up(sweep):
    """The last snapshot has every trial in one column, the total, and no time left."""
    made = sweep(run_cap=3)
    made.run(FakePool(1, by_trial(t0=FAILS)))
    last = made.watch.shown[-1]
    assert (last.total, last.finished, last.failed, last.pending, len(last.running)) == (3, 2, 1, 0, 0)
    assert last.eta_s == 0


def test_time_left_follows_from_the_trials_so_far(sweep):
    """What they took, times what is left, over what runs at once; with a range around it."""
    made = sweep(run_cap=10)
    made.run(FakePool(2, takes(60)))
    etas = [p.eta_s for p in made.watch.shown if p.finished == 4 and p.eta_s is not None]
    assert etas[0] == pytest.approx(180, rel=0.25)
    low, high = next(p.eta_range_s for p in made.watch.shown if p.finished == 4 and p.eta_range_s is not None)
    assert low < 180 < high


def test_what_the_search_knows_is_of_one_moment_and_no_copy():
    """Ends that come later are not in what it was given before, however it looks at that."""
    growing = [1, 2, 3]
    known = SoFar(growing)
    growing.append(4)
    assert (len(known), list(known), known[-1], known[1:], known[::-1]) == (3, [1, 2, 3], 3, [2, 3], [3, 2, 1])
    with pytest.raises(IndexError):
        known[3]
