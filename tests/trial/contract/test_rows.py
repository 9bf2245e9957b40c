import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from orchestrator.trial.contract.rows import HOLD_S, Rows


def line(moment=0.0, step=None, /, **marks):
    metrics = marks.pop("m", {})
    return {"attempt": 0, "t": moment, "step": step, "m": metrics} | marks


def rows_of(*lines):
    """(Steps and metrics, by line), the open ones last."""
    rows = Rows()
    found = [[(row.step, dict(row.metrics)) for row in rows.take(each)] for each in lines]
    return [*found, [(row.step, dict(row.metrics)) for row in rows.rest()]]


def test_a_line_without_marks_is_a_row():
    """Our own API's, Tune's, and everything that an earlier release wrote."""
    assert rows_of(line(0.0, 3, m={"a": 1.0}), line(0.0, m={"a": 2.0})) == [[(3, {"a": 1.0})], [(None, {"a": 2.0})], []]


def test_calls_of_one_step_of_a_run_are_one_row():
    """The last value of a name wins; a higher step completes the row, a lower one is ignored, the end completes the last."""
    calls = [(0, 1.0), (0, 2.0), (1, 3.0), (0, 9.0), (1, 4.0)]
    lines = [line(0.0, step, m={"a": value}, api="wandb") for step, value in calls]
    assert rows_of(*lines) == [[], [], [(0, {"a": 2.0})], [], [], [(1, {"a": 4.0})]]


def test_a_second_run_of_the_trial_begins_anew():
    """Its steps start again; the first one's open row is complete, and its end is forgotten for the second's."""
    rows = Rows()
    for each in (line(api="wandb", op="begin", start=0), line(0.0, 5, m={"a": 1.0}, api="wandb")):
        assert rows.take(each) == []
    (row,) = rows.take(line(api="wandb", op="finish", code=1))
    assert (row.step, row.metrics, rows.end.exit_code) == (5, {"a": 1.0}, 1)
    assert rows.take(line(api="wandb", op="begin", start=0)) == []
    assert rows.end.exit_code is None
    (row,) = rows.take(line(0.0, m={"a": 2.0}, api="wandb"))
    assert (row.step, row.metrics) == (0, {"a": 2.0})


def test_processes_that_each_began_the_run_have_rows_of_their_own():
    """Their calls come mixed; the run is open until all of them are finished."""
    begun = [line(api="wandb", op="begin", start=0, process=n) for n in (1, 2)]
    calls = [line(0.0, 0, m={"a": float(n)}, api="wandb", process=n) for n in (1, 2)]
    rows = Rows()
    assert [row for each in begun + calls for row in rows.take(each)] == []
    (row,) = rows.take(line(api="wandb", op="finish", code=0, process=1))
    assert (row.step, row.metrics, rows.end.is_open) == (0, {"a": 1.0}, True)
    (row,) = rows.take(line(api="wandb", op="finish", code=0, process=2))
    assert (row.step, row.metrics, rows.end.is_open) == (0, {"a": 2.0}, False)


def test_one_value_of_a_tag_and_step_counts():
    """The last; it is complete when its tag goes on to another step. Without steps each counts. Tags of a step are one row."""
    lines = [
        *(line(0.0, 0, m={"a": value}, api="tensorboard") for value in (1.0, 2.0)),
        line(0.0, 0, m={"b": 5.0}, api="tensorboard"),
        line(0.0, 1, m={"a": 3.0}, api="tensorboard"),
        line(0.0, 1, m={"b": 6.0}, api="tensorboard"),
        *(line(m={"u": value}, api="tensorboard") for value in (1.0, 2.0)),
    ]
    found = rows_of(*lines)
    assert found[3:5] == [[(0, {"a": 2.0})], [(0, {"b": 5.0})]]
    assert found[5:] == [[(None, {"u": 1.0})], [(None, {"u": 2.0})], [(1, {"a": 3.0}), (1, {"b": 6.0})]]
    rows = Rows()
    completed = [row for each in lines for row in rows.take(each)] + rows.rest()
    assert sum(not row.part for row in completed) == 4


def test_ranks_that_write_one_tag_into_one_directory_are_one_series():
    """A step counts once, however far behind a rank is; what it was before it could be known for one is not lost."""
    turns = [(1, 0), (2, 0), (1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (2, 3), (3, 0), (2, 4), (3, 1), (1, 4)]
    lines = [line(0.0, step, m={"a": float(process)}, api="tensorboard", process=process) for process, step in turns]
    rows = [row for found in rows_of(*lines) for row in found]
    assert rows == [(0, {"a": 2.0}), (1, {"a": 1.0}), (2, {"a": 2.0}), (3, {"a": 2.0}), (4, {"a": 1.0})]


def test_a_slow_rank_is_known_for_one_once_it_was_waited_for():
    """What it was before that counts, and nothing further."""
    calls = [(0.0, 100, 1), (11.0, 90, 2), (22.0, 110, 1), (33.0, 100, 2), (44.0, 120, 1), (55.0, 110, 2)]
    lines = [line(time, step, m={"a": 1.0}, api="tensorboard", process=process) for time, step, process in calls]
    assert [step for found in rows_of(*lines) for step, _ in found] == [100, 90, 110, 120]


def test_processes_that_write_a_value_each_count_as_they_came():
    """Evaluations beside a training: one that took longer is not the last for it."""
    lines = [line(0.0, step, m={"a": 1.0}, api="tensorboard", process=step) for step in (10, 30, 20, 40)]
    assert [step for found in rows_of(*lines) for step, _ in found] == [10, 30, 20, 40]


@pytest.mark.parametrize("later", [1.0, HOLD_S])
def test_a_process_that_writes_a_tag_after_another_has_ended_counts(later):
    """Its steps may begin anew: they are waited with while the first one may go on."""
    steps = [(0.0, 0, 1), (0.0, 5, 1), (0.5, 0, 2), (0.5, 1, 2), (later + 0.5, 2, 2)]
    lines = [line(time, step, m={"a": 1.0}, api="tensorboard", process=process) for time, step, process in steps]
    found = rows_of(*lines)
    assert [step for row in found for step, _ in row] == [0, 5, 0, 1, 2]
    assert [step for row in found[:-1] for step, _ in row] == ([0] if later == 1.0 else [0, 5, 0, 1])


@pytest.mark.parametrize("took_s", [0.0, HOLD_S])
@pytest.mark.parametrize("turns", ["AAAA BBB AAA", "AAAA BBBBBB AAA", "AAAA BBBB AAAA BBBB AA", "AA BB CC AA BB"])
def test_a_process_that_goes_back_below_its_own_last_step_begins_anew(turns, took_s, tmp_path):
    """Main, child and main, or workers in turn, each from step 0: what counts is what TensorBoard shows of the directory."""
    writers = {name: EventFileWriter(str(tmp_path), filename_suffix=name) for name in sorted({*turns} - {" "})}
    lines = []
    for n, turn in enumerate(turns.split()):
        for step, name in enumerate(turn):
            value = float(len(lines))
            scalar = Summary(value=[Summary.Value(tag="a", simple_value=value)])
            writers[name].add_event(Event(step=step, wall_time=value, summary=scalar))
            lines.append(line(n * (took_s + 0.5), step, m={"a": value}, api="tensorboard", process=ord(name)))
    for writer in writers.values():
        writer.close()
    shown = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0}).Reload().Scalars("a")
    rows = [(step, metrics["a"]) for found in rows_of(*lines) for step, metrics in found]
    assert rows == sorted(((each.step, each.value) for each in shown), key=lambda row: row[1])


def test_ranks_that_begin_anew_together_stay_one_series():
    """Steps that begin at 0 in each epoch: each counts once in each."""
    turns = [(rank, step) for _ in range(3) for step in range(4) for rank in (1, 2)]
    lines = [line(0.0, step, m={"a": float(rank)}, api="tensorboard", process=rank) for rank, step in turns]
    assert [step for found in rows_of(*lines) for step, _ in found] == [0, 1, 2, 3] * 3


def test_what_a_run_has_too_counts_there_alone():
    """A tag that the program also logs to its W&B run has that run's rows, also when the writer came first."""
    lines = [
        line(0.0, 0, m={"a": 0.0}, api="tensorboard"),
        line(0.0, m={"a": 7.0}, api="wandb"),
        line(0.0, 1, m={"a": 0.0}, api="tensorboard"),
    ]
    assert rows_of(*lines) == [[], [(0, {"a": 7.0})], [], []]


def test_disabled_runs_of_started_processes_wait_for_a_real_one():
    """Where one comes they are other ranks' and do not count; where none comes they do, after a while or at the end."""
    disabled = [line(moment, m={"a": moment}, api="disabled", process=1) for moment in (0.0, 1.0)]
    assert rows_of(*disabled) == [[], [], [(0, {"a": 0.0}), (1, {"a": 1.0})]]
    later = line(HOLD_S, m={"own": 1.0})
    assert rows_of(*disabled, later)[2:] == [[(0, {"a": 0.0}), (None, {"own": 1.0})], [(1, {"a": 1.0})]]
    real = line(2.0, api="wandb", op="begin", start=0)
    assert rows_of(*disabled, real, line(3.0, m={"a": 3.0}, api="disabled", process=1)) == [[], [], [], [], []]
    leading = line(0.0, m={"a": 0.0}, api="disabled", process=1, leads=True)
    assert rows_of(leading) == [[(0, {"a": 0.0})], []]


def test_what_disabled_runs_came_to_is_void_once_a_real_one_begins():
    """A rehearsal in the trial's own process counts at once, another rank's after a while: neither is the trial's result."""
    rows = Rows()
    lines = [
        line(0.0, m={"a": -99.0}, api="disabled", process=1, leads=True),
        line(1.0, m={"b": -98.0}, api="disabled", process=2),
        line(1.0 + HOLD_S, api="file", path="x"),
        line(2.0 + HOLD_S, api="wandb", op="begin", start=0),
    ]
    *counted, (void,) = [rows.take(each) for each in lines]
    assert [dict(row.metrics) for found in counted for row in found] == [{"a": -99.0}, {"b": -98.0}]
    assert (void.purged, void.step, void.voids, void.part) == (("a", "b"), None, 2, True)
    assert rows.take(line(30.0, api="wandb", op="begin", start=0)) == []


def test_what_the_program_reports_otherwise_is_not_void_with_a_disabled_run():
    """Values of one name cannot be told apart there: none is lost."""
    rows = Rows()
    for t, m in enumerate(({"a": 1.0}, {"a": 1.0, "c": 1.0}, {"b": 2.0}, {"b": 3.0, "c": 3.0})):
        rows.take(line(t, m=m, api="disabled", process=1, leads=True))
    rows.take(line(5.0, m={"a": 0.5}))
    (void,) = rows.take(line(9.0, api="wandb", op="begin", start=0))
    assert (void.purged, void.voids) == (("b", "c"), 2)


def test_rows_do_not_depend_on_when_they_are_read():
    """A reader who begins anew finds the rows that the first one found, in the same order."""
    lines = [
        line(0.0, 0, m={"a": 1.0}, api="wandb"),
        line(0.1, 0, m={"b": 1.0}, api="tensorboard"),
        line(0.2, 4, m={"a": 2.0}, api="wandb"),
        line(0.3, 1, m={"b": 2.0}, api="tensorboard"),
        line(0.4, m={"c": 2.0}),
    ]
    whole = [row for found in rows_of(*lines) for row in found]
    for n in range(len(lines)):
        told = [row for found in rows_of(*lines[:n])[:-1] for row in found]
        assert whole[: len(told)] == told


def test_a_run_says_how_it_ended():
    """Its exit code, and whether its program expected to be preempted."""
    rows = Rows()
    assert (rows.end.exit_code, rows.end.preempting) == (None, False)
    rows.take(line(api="wandb", op="preempting"))
    rows.take(line(api="wandb", op="finish", code=3))
    assert (rows.end.exit_code, rows.end.preempting) == (3, True)


def test_a_purge_takes_back_what_a_tag_has_from_a_step_on():
    """An open value is forgotten; a row that was complete is followed by one that says what is void."""
    logged = [line(float(step), step, m={"a": float(step), "b": 0.0}, api="tensorboard") for step in range(4)]
    rows = Rows()
    for each in logged:
        rows.take(each)
    (void,) = rows.take(line(9.0, 2, api="tensorboard", op="purge", names=["a"]))
    assert (void.purged, void.step, void.metrics, void.part) == (("a",), 2, {}, True)
    assert [row.metrics for row in rows.rest()] == [{"b": 0.0}]


def test_the_run_of_a_program_takes_a_name_over_from_tensorboard():
    """Values of batches that TensorBoard had before the first row of an epoch are void, and those after it do not count."""
    rows = Rows()
    found = []
    for epoch in range(2):
        for batch in range(3):
            step = 3 * epoch + batch
            found += rows.take(line(float(step), step, m={"loss": 0.1, "lr": 0.2}, api="tensorboard"))
        found += rows.take(line(float(step), m={"loss": 4.0 - epoch}, api="wandb"))
    found += rows.rest()
    void = next(row for row in found if row.purged)
    assert (void.purged, void.step, void.metrics, void.part) == (("loss",), None, {}, True)
    assert [row.metrics["loss"] for row in found[found.index(void) :] if "loss" in row.metrics] == [4.0, 3.0]
    assert sum("lr" in row.metrics for row in found) == 6


def test_a_series_is_renamed_from_its_beginning():
    """Its complete rows come again under the new name, its open one goes on; the plain name is void and known as apart."""
    rows = Rows()
    for step in range(3):
        rows.take(line(float(step), step, m={"loss": float(step)}, api="tensorboard"))
    split = line(9.0, api="tensorboard", op="split", tag="loss", name="train/loss", names=["train/loss", "valid/loss"])
    void, *again = rows.take(split)
    assert (void.purged, void.step) == (("loss",), None)
    assert [(row.step, row.metrics, row.part) for row in again] == [(n, {"train/loss": float(n)}, True) for n in (0, 1)]
    assert rows.apart == {"loss": ("train/loss", "valid/loss")}
    assert [(row.step, row.metrics) for row in rows.rest()] == [(2, {"train/loss": 2.0})]
    rows.take(line(10.0, 5, m={"loss": 1.0}, api="tensorboard"))
    assert rows.apart == {}


def test_a_writer_s_values_wait_for_the_first_row_of_an_open_run():
    """Batches that a SummaryWriter has are no rows when the run's first row turns out to have their name."""
    rows = Rows()
    rows.take({"t": 0.0, "step": None, "m": {}, "api": "wandb", "op": "begin"})
    told = [rows.take({"t": 1.0 + k, "step": k, "m": {"loss": 100.0}, "api": "tensorboard"}) for k in range(5)]
    assert told == [[]] * 5
    (row,) = rows.take({"t": 7.0, "step": None, "m": {"loss": 2.0}, "api": "wandb"})
    assert (row.metrics, row.part) == ({"loss": 2.0}, False)
    assert rows.rest() == []


def test_a_writer_s_values_do_not_wait_for_ever():
    """A run that logs something else, or nothing for a while, lets them count, in order."""
    for later in (
        {"t": 3.0, "step": None, "m": {"lr": 0.1}, "api": "wandb"},
        {"t": 1.0 + HOLD_S, "step": None, "m": {}, "api": "watch"},
    ):
        rows = Rows()
        rows.take({"t": 0.0, "step": None, "m": {}, "api": "wandb", "op": "begin"})
        for k in range(2):
            assert rows.take({"t": 1.0, "step": k, "m": {"loss": float(k)}, "api": "tensorboard"}) == []
        found = rows.take(later) + rows.rest()
        assert [row.metrics["loss"] for row in found if "loss" in row.metrics] == [0.0, 1.0]


def test_rows_that_are_taken_back_are_counted_no_more():
    """The count of a trial's rows falls with them."""
    rows = Rows()
    found = [rows.take({"t": 1.0 + k, "step": k, "m": {"loss": 1.0}, "api": "tensorboard"}) for k in range(4)]
    rows.take({"t": 6.0, "step": None, "m": {}, "api": "wandb", "op": "begin"})
    found.append(rows.take({"t": 7.0, "step": None, "m": {"loss": 2.0}, "api": "wandb"}))
    told = [row for each in found for row in each]
    assert sum((not row.part) - row.voids for row in told) == 1


def test_one_tag_of_two_processes_is_two_series():
    """A process knows its own writers alone: what each calls `loss` is told apart by the directories, from the beginning."""
    rows = Rows()
    found = []
    for step in range(3):
        for fold in range(2):
            metrics = {"loss": float(10 * fold + step)}
            found += rows.take(line(float(step), step, m=metrics, api="tensorboard", place=f"runs/fold{fold}"))
    found += rows.rest()
    assert rows.apart == {"loss": ("fold0/loss", "fold1/loss")}
    assert rows.names == {"fold0/loss", "fold1/loss"}
    values = {name: [row.metrics[name] for row in found if name in row.metrics] for name in sorted(rows.names)}
    assert values == {"fold0/loss": [0.0, 1.0, 2.0], "fold1/loss": [10.0, 11.0, 12.0]}
    assert not any("loss" in row.metrics for row in found)


def test_a_process_that_tells_its_own_apart_is_believed():
    """What it renamed is no series of another directory's any more, and the trial's own directory keeps the plain name."""
    rows = Rows()
    rows.take(line(0.0, 0, m={"loss": 1.0}, api="tensorboard", place="train"))
    split = {"tag": "loss", "name": "train/loss", "names": ["train/loss", "valid/loss"], "place": "train"}
    rows.take(line(1.0, api="tensorboard", op="split", **split))
    rows.take(line(2.0, 0, m={"valid/loss": 2.0}, api="tensorboard", place="valid"))
    rows.take(line(3.0, 0, m={"loss": 3.0}, api="tensorboard"))
    rows.take(line(4.0, 1, m={"train/loss": 4.0}, api="tensorboard", place="train"))
    rows.take(line(5.0, 2, api="tensorboard", op="purge", names=["train/loss"], place="train"))
    assert rows.names == {"train/loss", "valid/loss", "loss"}
    assert {n: v for row in rows.rest() for n, v in row.metrics.items()} == {
        "train/loss": 4.0,
        "valid/loss": 2.0,
        "loss": 3.0,
    }
