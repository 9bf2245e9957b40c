import math

import pytest

from orchestrator.trial.contract.wandb_record import Definition, WandbRecord


def logged(record, *calls):
    """(Step and numbers) of the rows that calls complete, and of the one they leave open."""
    rows = [row for call in calls for row in record.log(**({"time": 0.0} | call))] + record.finish()
    return [(row.step, dict(row.metrics)) for row in rows]


def test_a_call_commits_unless_it_has_a_step_or_says_otherwise():
    """`commit` decides; without it, calls without a step commit and calls with one do not."""
    calls = [
        {"metrics": {"a": 1}},
        {"metrics": {"b": 1}, "commit": False},
        {"metrics": {"c": 1}},
        {"metrics": {"d": 1}, "step": 7},
        {"metrics": {"e": 1}},
        {"metrics": {"f": 1}, "step": 9, "commit": True},
        {"metrics": {"late": 1}, "step": 9},
        {"metrics": {"g": 1}, "step": 10},
    ]
    assert logged(WandbRecord(), *calls) == [
        (0, {"a": 1}),
        (1, {"b": 1, "c": 1}),
        (7, {"d": 1, "e": 1}),
        (9, {"f": 1}),
        (10, {"g": 1}),
    ]


def test_a_step_below_the_current_one_changes_nothing_even_with_commit():
    """W&B ignores the whole call: the row that is open stays open."""
    calls = [{"metrics": {"a": 1}, "step": 5}, {"metrics": {"a": 9}, "step": 4, "commit": True}, {"metrics": {"b": 2}}]
    assert logged(WandbRecord(), *calls) == [(5, {"a": 1, "b": 2})]


def test_a_resumed_run_goes_on_where_it_was():
    """Its first row has the step that the server named."""
    assert logged(WandbRecord(10), {"metrics": {"a": 1}}, {"metrics": {"a": 2}, "step": 3}) == [(10, {"a": 1})]


def test_what_is_replaced_by_something_else_is_gone():
    """A number that becomes text within its row is no number of it."""
    record = WandbRecord()
    assert logged(record, {"metrics": {"a": 1, "b": 2}, "step": 0}, {"metrics": {}, "step": 0, "gone": ["a"]}) == [
        (0, {"b": 2})
    ]


def test_rows_of_the_programs_own_count_even_without_numbers():
    """An image is a row, too; what only we put there is none."""
    record = WandbRecord()
    assert logged(record, {"metrics": {}}, {"metrics": {}, "counts": False}, {"metrics": {"a": 1}}) == [
        (0, {}),
        (2, {"a": 1}),
    ]


def test_a_step_metric_is_put_into_rows_that_lack_it():
    """Its last number, for the metrics that are defined by it or by a pattern; 0 before there is one, as W&B has it."""
    record = WandbRecord()
    record.define("loss", Definition(step_metric="epoch"))
    record.define("val*", Definition(step_metric="epoch"))
    calls = [{"loss": 1}, {"epoch": 4}, {"loss": 2}, {"val/acc": 3}, {"other": 4}, {"loss": 5, "epoch": 5}]
    rows = [metrics for _, metrics in logged(record, *({"metrics": call} for call in calls))]
    with_epoch = [{"loss": 2, "epoch": 4}, {"val/acc": 3, "epoch": 4}]
    assert rows == [{"loss": 1, "epoch": 0}, {"epoch": 4}, *with_epoch, {"other": 4}, {"loss": 5, "epoch": 5}]


def test_a_summary_has_what_was_asked_for_and_what_the_program_put_there():
    """Smallest, largest, mean, first, last under names of their own; the program's values until a row replaces them."""
    record = WandbRecord()
    record.define("a", Definition(operations={"min", "max", "mean", "first", "last"}))
    record.define("n", Definition(is_left_out=True))
    record.summarize({"a2": 1.0, "n": 4.0, "best": 2.0, "out": 3.0})
    logged(record, *({"metrics": {"a": value, "n": 1, "a2": 5}} for value in (3, 1, 5)))
    record.summarize({}, ["out"])
    kept = {"a.min": 1.0, "a.max": 5.0, "a.mean": 3.0, "a.first": 3.0, "a.last": 5.0}
    assert record.summary() == kept | {"n": 4.0, "best": 2.0}
    record.summarize({"a": 77.0})
    assert record.summary() == {"a": 77.0, "n": 4.0, "best": 2.0}
    logged(record, {"metrics": {"a": 9}})
    assert record.summary() == {"n": 4.0, "best": 2.0}


def test_names_with_dots_of_their_own_have_no_definition_in_the_summary():
    """W&B takes ``define_metric("a.b")`` for the b of a nested a."""
    record = WandbRecord()
    record.define("a.b", Definition(operations={"max"}))
    logged(record, {"metrics": {"a.b": 1}})
    assert record.summary() == {}
    logged(record, {"metrics": {"a.b": 1}, "nested": ["a.b"]})
    assert record.summary() == {"a.b.max": 1.0}


def test_a_nested_number_wins_over_a_name_that_is_spelt_with_its_dots():
    """In whatever order the calls of a row have them; what is in a mapping goes with it."""
    spelt, nested = {"metrics": {"a.b": 1}, "step": 0}, {"metrics": {"a.b": 2}, "nested": ["a.b"], "step": 0}
    for calls in ((spelt, nested), (nested, spelt), (spelt, nested, spelt)):
        assert logged(WandbRecord(), *calls) == [(0, {"a.b": 2})]
    record = WandbRecord()
    record.define("loss", Definition(step_metric="a.b"))
    rows = logged(record, {**nested, "step": None}, {"metrics": {"loss": 1, "a.b": 7}})
    assert rows[-1] == (1, {"loss": 1, "a.b": 2}), "a step metric that is nested is put into a row that has it spelt"
    replaced = {"metrics": {"a": 5}, "gone": ["a.b"], "step": 0}
    assert logged(WandbRecord(), spelt, nested, replaced) == [(0, {"a": 5, "a.b": 1})]


def test_what_the_program_puts_into_a_summary_ends_what_is_kept_until_the_definition_changes():
    """The values from before count then."""
    for said in ({"metrics": {"a": 3.0}}, {"metrics": {}, "gone": ["a"]}):
        record = WandbRecord()
        record.define("a", Definition(operations={"min"}))
        logged(record, {"metrics": {"a": 1}})
        record.summarize(**said)
        record.define("a", Definition(operations={"min"}))
        logged(record, {"metrics": {"a": 2}})
        assert record.summary() == {}
        record.define("a", Definition(operations={"max"}))
        logged(record, {"metrics": {"a": 2}})
        assert record.summary() == {"a.min": 1.0, "a.max": 2.0}


@pytest.mark.parametrize("name", ["a", "*"])
def test_what_the_program_takes_out_of_a_summary_comes_back_with_the_next_value(name):
    """With the values from before, but for the first; not where the program had put another value there."""
    for value, kept in ((None, {"a.first": 2.0, "a.max": 3.0}), (7.0, {})):
        record = WandbRecord()
        record.define(name, Definition(operations={"max", "first"}))
        logged(record, {"metrics": {"a": 3}})
        record.summarize({} if value is None else {"a": value})
        record.summarize({}, ["a"], removed=["a"])
        assert record.summary() == {}
        logged(record, {"metrics": {"a": 2}})
        assert record.summary() == kept


def test_a_definition_adds_to_an_earlier_one_unless_it_replaces_it():
    """As `define_metric` does; values from before count."""
    record = WandbRecord()
    logged(record, {"metrics": {"a": 3}})
    record.define("a", Definition(operations={"max"}))
    record.define("a", Definition(operations={"min"}))
    logged(record, {"metrics": {"a": 1}})
    assert record.summary() == {"a.max": 3.0, "a.min": 1.0}
    record.define("a", Definition(operations={"last"}), overwrite=True)
    assert record.summary() == {"a.max": 3.0, "a.min": 1.0}  # until there is a further value
    logged(record, {"metrics": {"a": 2}})
    assert record.summary() == {"a.last": 2.0}


def test_a_summary_that_saw_no_number_has_none():
    """NaN stays NaN in W&B's smallest and largest value, and is no result."""
    record = WandbRecord()
    record.define("a", Definition(operations={"min"}))
    logged(record, {"metrics": {"a": math.nan}}, {"metrics": {"a": 1.0}})
    assert record.summary() == {}


@pytest.mark.parametrize("metrics", [{"deep": 5.0}, {}])
def test_what_is_kept_of_a_mapping_goes_with_it(metrics):
    """W&B's summary has the number or text in its place alone, and of the mapping that comes back the last values."""
    record = WandbRecord()
    record.define("deep.x", Definition(operations={"mean"}))
    record.log({"deep.x": 1.0}, time=0.0, nested=["deep.x"])
    assert record.summary() == {"deep.x.mean": 1.0}
    record.log(metrics, time=0.0, gone=["deep.x"] if metrics else ["deep", "deep.x"])
    assert record.summary() == {}
    record.log({"deep.x": 2.0}, time=0.0, gone=["deep"], nested=["deep.x"])
    assert record.summary() == {}
    record.define("deep.x", Definition(operations={"max"}))
    record.log({"deep.x": 1.0}, time=0.0, nested=["deep.x"])
    assert record.summary() == {"deep.x.mean": 1.5, "deep.x.max": 2.0}


def test_a_step_metric_takes_the_place_of_what_replaced_its_mapping():
    """A number or a text instead of the mapping: the step metric is not in the row, so W&B puts its last value there."""
    record = WandbRecord()
    record.define("*", Definition(step_metric="deep.x"))
    calls = [
        {"metrics": {"deep.x": 1, "loss": 1}, "nested": ["deep.x"]},
        {"metrics": {"deep": 5, "loss": 2}, "gone": ["deep.x"]},
        {"metrics": {"loss": 3}, "gone": ["deep", "deep.x"]},
        {"metrics": {"deep": 5}, "gone": ["deep.x"], "commit": False},
        {"metrics": {"deep.y": 6}, "gone": ["deep"], "nested": ["deep.y"]},
        {"metrics": {"loss": 4}, "gone": ["deep.x", "deep"]},
    ]
    assert logged(record, *calls) == [
        (0, {"deep.x": 1, "loss": 1}),
        (1, {"deep.x": 1, "loss": 2}),
        (2, {"deep.x": 1, "loss": 3}),
        (3, {"deep.x": 1, "deep.y": 6}),
        (4, {"loss": 4}),
    ]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ([True, False], {"a.min": 1.0}),
        ([False, True], {}),
        ([True, None], {}),
        ([False, None], {"a.min": 1.0}),
    ],
)
def test_the_last_word_decides_whether_a_summary_is_left_out(said, kept):
    """What is kept adds up, but a summary asked for after ``none`` is there again, as W&B has it."""
    record = WandbRecord()
    for is_left_out in said:
        operations = {"min"} if is_left_out is False else set()
        record.define("a", Definition(operations=operations, is_left_out=is_left_out))
    logged(record, {"metrics": {"a": 1}})
    assert record.summary() == kept


def test_a_pattern_defines_a_name_at_its_first_row_even_if_its_summary_was_set():
    """The program's own value gives way to what the pattern keeps."""
    record = WandbRecord()
    record.summarize({"loss": 5.0})
    record.define("*", Definition(operations={"min"}))
    logged(record, {"metrics": {"loss": 2}}, {"metrics": {"loss": 3, "_own": 1}})
    assert record.summary() == {"loss.min": 2.0}


def test_nothing_is_kept_of_a_number_that_is_a_mapping_when_a_pattern_matches_it():
    """The pattern came later: it matches what is in the mapping."""
    record = WandbRecord()
    logged(record, {"metrics": {"deep": 0.5}})
    record.define("*", Definition(operations={"max"}))
    logged(record, {"metrics": {"deep.x": 1}, "gone": ["deep"], "nested": ["deep.x"]})
    assert record.summary() == {"deep.x.max": 1.0}


def test_a_name_with_dots_of_its_own_stays_when_a_mapping_of_earlier_rows_gives_way():
    """What was in the mapping is gone; the number beside it was never in there."""
    record = WandbRecord()
    logged(record, {"metrics": {"deep.x": 1}, "nested": ["deep.x"]})
    calls = {"metrics": {"deep.x": 2}, "commit": False}, {"metrics": {"deep": 5}, "gone": ["deep.x"]}
    assert logged(record, *calls) == [(1, {"deep.x": 2, "deep": 5})]


def test_a_pattern_that_comes_later_sees_what_came_since():
    """A number takes the place of a mapping, and a mapping that of a number: each begins anew."""
    record = WandbRecord()
    logged(record, {"metrics": {"deep.x": 9}, "nested": ["deep.x"]}, {"metrics": {"deep": 8}, "gone": ["deep.x"]})
    record.define("*", Definition(operations={"max"}))
    logged(record, {"metrics": {"deep.x": 6}, "gone": ["deep"], "nested": ["deep.x"]})
    assert record.summary() == {"deep.x.max": 6.0}
    logged(record, {"metrics": {"deep": 5}, "gone": ["deep.x"]})
    assert record.summary() == {"deep.max": 5.0}


def test_a_pattern_does_not_define_the_step_metric_that_is_put_into_a_row():
    """W&B matches patterns first; the program's own next value of it matches."""
    record = WandbRecord()
    record.define("*", Definition(operations={"max"}))
    record.define("loss", Definition(step_metric="epoch"))
    logged(record, {"metrics": {"loss": 2}})
    assert record.summary() == {}
    logged(record, {"metrics": {"epoch": 2}})
    assert record.summary() == {"epoch.max": 2.0}
