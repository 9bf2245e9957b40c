"""`engine: ax`: Ax's client, asked and told as wandb's own scheduler does. What needs Ax itself runs where it is installed."""

import importlib.util

import pytest

from orchestrator.errors import SearchSpaceError
from orchestrator.search.factory import check_search, make_search
from orchestrator.search.protocol import Keeper, NotYet, Observation, Outcome, Pending, Remembered
from orchestrator.space import SearchSpace
from orchestrator.spec import load_dict

needs_ax = pytest.mark.skipif(importlib.util.find_spec("ax") is None, reason="Ax is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")

SOURCE = """
from ax.api.client import Client
from ax.api.configs import RangeParameterConfig
from ax.early_stopping.strategies import ThresholdEarlyStoppingStrategy
from wandb.sdk.sweeps.scheduler.ax import configure_sweep_objective


def make(info, metric="loss"):
    client = Client(random_seed=3)
    client.configure_experiment(parameters=[RangeParameterConfig(name="x", bounds=(0.0, 1.0), parameter_type="float")])
    client.configure_optimization(objective=f"-{metric}")
    return client


def ends(info):
    return make(info), lambda client: len(client._experiment.trials) >= 3


def stops(info):
    client = Client(random_seed=3)
    client.configure_experiment(parameters=[RangeParameterConfig(name="x", bounds=(0.0, 1.0), parameter_type="float")])
    configure_sweep_objective(client, info.config)
    client.set_early_stopping_strategy(
        ThresholdEarlyStoppingStrategy(metric_threshold=0.5, min_progression=0, min_curves=0)
    )
    return client


def other(info):
    return make(info, "accuracy")
"""


def spec_of(**scheduler):
    data = {"method": "custom", "metric": {"name": "loss"}, "scheduler": {"engine": "ax", **scheduler}}
    data["parameters"] = {"x": {"min": 0.0, "max": 1.0}, "k": {"values": ["a", "b"]}, "c": {"value": 3}}
    return load_dict(data, needs_program=False).require()


def search_of(spec):
    return make_search(spec, SearchSpace.of(spec.parameters), 5)


def run(search, n, earlier=()):
    """Trials one after the other; every fourth fails."""
    done = list(earlier)
    for number in range(n):
        config = search.suggest(number, done, [])
        if config is None:
            break
        failed = number % 4 == 3
        scores = () if failed else ((config["x"] - 0.3) ** 2,)
        outcome = Outcome.FAILED if failed else Outcome.FINISHED
        done.append(Observation(number=number, config=config, outcome=outcome, scores=scores, order=number))
        search.tell(done[-1])
    return done


@pytest.mark.skipif(importlib.util.find_spec("ax") is not None, reason="Ax is installed")
def test_without_ax_the_extra_is_named():
    """The error says what to install, and is found without running anything."""
    with pytest.raises(SearchSpaceError, match=r"ax needs ax: install sweep-orchestrator\[ax\]"):
        check_search(spec_of())


@needs_ax
def test_the_default_client_searches_the_sweeps_parameters():
    """The client that wandb would make, with the sweep's seed."""
    search = search_of(spec_of())
    assert isinstance(search, Keeper)
    done = run(search, 8)
    assert [o.config for o in run(search_of(spec_of()), 8)] == [o.config for o in done]
    assert all(0 <= o.config["x"] <= 1 and o.config["k"] in {"a", "b"} and o.config["c"] == 3 for o in done)
    states = [t.status.name for t in search._optimizer.client._experiment.trials.values()]
    assert states == ["COMPLETED", "COMPLETED", "COMPLETED", "FAILED"] * 2


@needs_ax
def test_a_trial_that_runs_again_is_told_again():
    """Its new end counts beside the old one, once."""
    search = search_of(spec_of())
    done = run(search, 4)
    search.again(0)
    for _ in range(2):
        search.tell(Observation(number=0, config=done[0].config, outcome=Outcome.FINISHED, scores=(0.5,), order=9))
    states = [t.status.name for t in search._optimizer.client._experiment.trials.values()]
    assert states == ["COMPLETED", "COMPLETED", "COMPLETED", "FAILED", "COMPLETED"]


def restored(done, over, memory, records):
    """A new search that takes up what a ledger has of an old one."""
    found = search_of(spec_of())
    trials = [
        Remembered(number=o.number, config=o.config, record=records[o.number], over=over or o.number != 0) for o in done
    ]
    found.restore(memory, trials)
    return found


@needs_ax
@pytest.mark.parametrize("controller", [True, False], ids=["running", "none"])
def test_a_trial_that_runs_again_is_told_again_after_a_crash(controller):
    """Its new end is told once, whether a controller heard that it runs again, and whichever of its records were kept."""
    search = search_of(spec_of())
    done = run(search, 4)
    kept = search.remember()
    if controller:
        search.again(0)
        kept = search.remember()
    end = Observation(number=0, config=done[0].config, outcome=Outcome.FINISHED, scores=(0.5,), order=9)
    resumed = restored(done, controller, kept.search, kept.trials)
    for _ in range(2):
        resumed.tell(end)
    told = resumed.remember()
    for again in (resumed, restored(done, True, told.search, told.trials)):
        again.tell(end)
        states = [t.status.name for t in again._optimizer.client._experiment.trials.values()]
        assert states == ["COMPLETED", "COMPLETED", "COMPLETED", "FAILED", "COMPLETED"]


@needs_ax
def test_a_trial_of_an_earlier_sweep_is_told_once():
    """However often the sweep is resumed: it has no record in the ledger."""
    earlier = Observation(number=-1, config={"x": 0.5, "k": "a", "c": 3}, outcome=Outcome.FINISHED, scores=(0.04,))
    search = search_of(spec_of())
    done = run(search, 1, [earlier])
    kept, records = search.remember(), {}
    for number in range(1, 3):
        records |= kept.trials
        search = search_of(spec_of())
        trials = [Remembered(number=n, config=o.config, record=records[n], over=True) for n, o in enumerate(done[1:])]
        search.restore(kept.search, trials)
        config = search.suggest(number, done, [])
        done.append(Observation(number=number, config=config, outcome=Outcome.FINISHED, scores=(0.5,), order=number))
        search.tell(done[-1])
        kept = search.remember()
        assert len(search._optimizer.client._experiment.trials) == 1 + 1 + number


@needs_ax
def test_a_resumed_sweep_goes_on_as_it_would_have():
    """The ledger's memory and records make a new client what the old one was."""
    old = search_of(spec_of())
    done = run(old, 6)
    memory = old.remember()
    new = search_of(spec_of())
    new.restore(
        memory.search,
        [Remembered(number=o.number, config=o.config, record=memory.trials[o.number], over=True) for o in done],
    )
    assert new.suggest(6, done, [])["x"] == pytest.approx(old.suggest(6, done, [])["x"], abs=1e-6)


@needs_ax
def test_ax_may_want_results_first():
    """That ends nothing: it is asked again when a trial has ended."""
    search, pending = search_of(spec_of()), []

    def ask_for_more():
        for number in range(20):
            pending.append(Pending(number=number, config=search.suggest(number, [], pending)))

    with pytest.raises(NotYet):
        ask_for_more()


@needs_ax
def test_a_client_of_the_users_own(tmp_path):
    """Its terminator ends the sweep, its strategy stops trials, and metrics that disagree are refused."""
    path = tmp_path / "tuner.py"
    path.write_text(SOURCE)
    ends = search_of(spec_of(source=str(path), optimizer="ends"))
    assert len(run(ends, 9)) == 3
    assert "terminator" in ends.over
    stops = search_of(spec_of(source=str(path), optimizer="stops"))
    config = stops.suggest(0, [], [])
    assert stops.report(0, [(0, 0.1)]) is None
    assert "stopped early by the Ax client at step 1: loss 0.9" in stops.report(0, [(1, 0.9), (2, 0.9)])
    stops.tell(Observation(number=0, config=config, outcome=Outcome.STOPPED))
    assert stops._optimizer.client._experiment.trials[0].status.name == "EARLY_STOPPED"
    with pytest.raises(SearchSpaceError, match="does not match the sweep metric name"):
        search_of(spec_of(source=str(path), optimizer="other"))


@needs_ax
def test_parameters_that_ax_cannot_hold_are_refused():
    """As wandb refuses them, with the parameter's name."""
    spec = load_dict(
        {
            "method": "custom",
            "metric": {"name": "loss"},
            "scheduler": {"engine": "ax"},
            "parameters": {"n": {"distribution": "normal"}},
        },
        needs_program=False,
    ).require()
    with pytest.raises(SearchSpaceError, match="'normal' for parameter 'n' has no Ax equivalent"):
        check_search(spec)
