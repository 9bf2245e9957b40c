"""What Tune fills into a result, and what ends a trial: compared with Tune's own code where it can be called."""

import math

import pytest

from orchestrator.trial.program.tune_results import Progress, counts_of, metrics_of, reached, step_of


def test_a_trial_counts_on_from_its_checkpoint():
    """Iterations, time and timesteps continue; a time or an iteration of the program's own is taken as Tune takes it."""
    progress = Progress({"training_iteration": 4, "time_total_s": 10.0, "timesteps_total": 100})
    first = progress.complete({"loss": 1.0, "time_this_iter_s": 2.5, "timesteps_this_iter": 20})
    assert first["training_iteration"] == 5
    assert first["time_total_s"] == 12.5
    assert first["timesteps_total"] == 120
    second = progress.complete({"training_iteration": 50, "time_total_s": 1e9, "timesteps_total": 7})
    assert second["training_iteration"] == 50
    assert 12.5 <= second["time_total_s"] < 1e6
    assert second["timesteps_total"] == 7
    assert repr(counts_of(first)) == "{'training_iteration': 5, 'time_total_s': 12.5, 'timesteps_total': 120}"
    assert "timesteps_total" not in Progress({}).complete({"loss": 1.0})


def test_metrics_are_what_the_program_reported():
    """Not what Tune adds, unless the program reports it too or the sweep asks for it; nested names are joined with a slash."""
    result = {
        "loss": 1,
        "valid": {"acc": 0.5},
        "training_iteration": 3,
        "time_total_s": 9.0,
        "pid": 7,
        "done": True,
        "text": "x",
    }
    assert metrics_of(result, ("loss", "valid", "done", "text"), None) == {"loss": 1.0, "valid/acc": 0.5}
    assert metrics_of(result, ("loss", "training_iteration"), None) == {"loss": 1.0, "training_iteration": 3.0}
    assert metrics_of(result, ("loss",), "time_total_s") == {"loss": 1.0, "time_total_s": 9.0}
    assert metrics_of(result, ("loss",), "valid/acc") == {"loss": 1.0}


@pytest.mark.parametrize(
    ("result", "stop"),
    [
        ({"loss": 0.1}, {}),
        ({"loss": 0.1, "done": True}, {}),
        ({"loss": 0.1, "done": 0}, {"loss": 0.2}),
        ({"loss": 0.2}, {"loss": 0.2}),
        ({"loss": 0.1, "valid": {"acc": 1.0}}, {"valid/acc": 0.9}),
        ({"loss": math.nan}, {"loss": 0.0}),
        ({"loss": math.inf}, {"loss": 0.0}),
        ({"loss": 0.1}, {"acc": 0.0}),
        ({"loss": 5, "acc": 0.5}, {"acc": 0.9, "loss": 5.0}),
    ],
)
def test_the_last_result_is_the_one_that_tune_takes_for_it(result, stop):
    """Tune's own `should_stop` says the same of every result."""
    from ray.tune.experiment.trial import Trial
    from ray.tune.utils import flatten_dict

    class Asked:
        stopping_criterion = stop

    assert reached(result, stop) == Trial.should_stop(Asked(), flatten_dict(result))


def test_steps_rise():
    """A result's step is its iteration; where the program's own does not rise, it is the next one."""
    assert step_of({"training_iteration": 10}, 3) == 10
    assert [step_of({"training_iteration": n}, 7) for n in (7, 2, 7.5, math.nan, "x")] == [8] * 5
    assert step_of({}, 0) == 1
