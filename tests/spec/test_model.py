import dataclasses

import pytest

from orchestrator.spec import load_text
from orchestrator.spec.model import Budget, Categorical, EarlyTerminate, Goal, Kind, Metric, Options, SweepSpec


def test_a_spec_cannot_be_changed():
    """Neither it nor its parts."""
    spec = load_text("program: t.py\nmethod: random\nmetric: {name: l}\nparameters: {a: {values: [1, 2]}}").require()
    for part, field in (
        (spec, "method"),
        (spec.metric, "name"),
        (spec.parameters["a"], "values"),
        (spec.options, "seed"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, field, None)


def test_kinds_of_lists_follow_from_probabilities():
    """W&B has two names for them."""
    assert Categorical(values=(1,)).kind is Kind.CATEGORICAL
    assert Categorical(values=(1,), probabilities=(1.0,)).kind is Kind.CATEGORICAL_W_PROBABILITIES


def test_runs_are_in_the_project_that_the_spec_or_the_environment_names():
    """As W&B's client chooses it; an empty variable names nothing."""
    spec, environ = SweepSpec(method="random", parameters={}), {"WANDB_PROJECT": "p", "WANDB_ENTITY": "e"}
    own = dataclasses.replace(spec, project="mine", entity="me")
    assert (own.wandb_project(environ), own.wandb_entity(environ)) == ("mine", "me")
    assert (spec.wandb_project(environ), spec.wandb_entity(environ)) == ("p", "e")
    assert (spec.wandb_project({"WANDB_PROJECT": ""}), spec.wandb_entity({"WANDB_ENTITY": ""})) == (
        "uncategorized",
        None,
    )


def test_objectives_are_the_metrics_or_the_metric():
    """Whichever the spec has."""
    a, b = Metric(name="a"), Metric(name="b")
    base = {"method": "bayes", "parameters": {}, "options": Options()}
    assert SweepSpec(**base).objectives == ()
    assert SweepSpec(**base, metric=a).objectives == (a,)
    assert SweepSpec(**base, metrics=(a, b)).objectives == (a, b)


def test_a_score_is_lower_where_a_value_is_better():
    """Whatever the goal."""
    assert [goal.sign for goal in (Goal.MINIMIZE, Goal.MAXIMIZE)] == [1, -1]


def test_a_budget_ends_with_what_is_used_up_first():
    """Hours, or as many as the money buys; without either there is no end."""
    assert Budget().hours is None
    assert Budget(gpu_hours=40).hours == 40
    assert Budget(cost=100, price=2.5).hours == 40
    assert Budget(gpu_hours=30, cost=100, price=2.5).hours == 30


def test_a_trial_has_finished_at_ashas_last_rung_or_at_its_stop():
    """Whichever comes first."""
    base = {"method": "random", "parameters": {}}
    asha = EarlyTerminate(type="asha", max_t=9)
    assert SweepSpec(**base).limits == {}
    assert SweepSpec(**base, early_terminate=asha).limits == {"training_iteration": 9}
    for own, expected in ((5, 5), (20, 9)):
        options = Options(stop={"training_iteration": own, "loss": 0.1})
        assert SweepSpec(**base, early_terminate=asha, options=options).limits == {
            "training_iteration": expected,
            "loss": 0.1,
        }
