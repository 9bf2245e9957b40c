"""Held to wandb's own messages: what we write they read, and what they write we read."""

import pytest
from wandb.proto import wandb_internal_pb2 as pb

from orchestrator.trial.formats import wandb_messages
from orchestrator.trial.formats.wandb_messages import Entry, entry_of


def read(data: bytes) -> pb.Record:
    record = pb.Record()
    record.ParseFromString(data)
    return record


def test_what_is_written_is_what_wandb_reads():
    """A run with all that is said of one, a row, a summary, an end; text of any kind, numbers of any size."""
    about = {"run_id": "r", "project": "p", "run_group": "g", "display_name": "é", "entity": "", "sweep_id": "s"}
    run = read(wandb_messages.run(about, ("a", "b"), {"lr": 0.1, "deep": {"er": [1]}}, 1_700_000_000.25)).run
    assert (run.run_id, run.project, run.run_group, run.display_name, run.entity) == ("r", "p", "g", "é", "")
    assert (run.sweep_id, list(run.tags), run.start_time.ToSeconds()) == ("s", ["a", "b"], 1_700_000_000)
    assert {item.key: item.value_json for item in run.config.update} == {"lr": "0.1", "deep": '{"er": [1]}'}
    row = read(wandb_messages.history({"loss": float("inf"), "a.b": 2}, 70_000)).history
    assert [(list(item.nested_key), item.value_json) for item in row.item] == [(["loss"], "Infinity"), (["a.b"], "2")]
    assert row.step.num == 70_000
    assert read(wandb_messages.summary({"x": 1})).summary.update[0].value_json == "1"
    assert read(wandb_messages.exit_code(137)).exit.exit_code == 137
    head = read(wandb_messages.header("0.31.0")).header.version_info
    assert (head.producer, head.min_consumer) == ("0.31.0", "0.40.0")


@pytest.mark.parametrize("code", [0, 1, 255, -9])
def test_what_wandb_writes_is_read(code):
    """Names as a key and as a path, what a summary loses, an exit code of any sign, and records of no interest."""
    items = [pb.HistoryItem(nested_key=["a", "b"], value_json="1.5"), pb.HistoryItem(key="_step", value_json="7")]
    row = pb.Record(num=3, history=pb.HistoryRecord(item=items, step=pb.HistoryStep(num=7)))
    assert entry_of(row.SerializeToString()) == Entry(kind="history", values={"a.b": 1.5, "_step": 7})
    updates, removed = [pb.SummaryItem(key="best")], [pb.SummaryItem(nested_key=["c", "d"])]
    summary = pb.Record(summary=pb.SummaryRecord(update=updates, remove=removed))
    assert entry_of(summary.SerializeToString()) == Entry(kind="summary", values={"best": None}, removed=("c.d",))
    end = pb.Record(exit=pb.RunExitRecord(exit_code=code, runtime=4))
    assert entry_of(end.SerializeToString()) == Entry(kind="exit", code=code)
    assert entry_of(pb.Record(preempting=pb.RunPreemptingRecord()).SerializeToString()).kind == "preempting"
    assert entry_of(pb.Record(run=pb.RunRecord(run_id="r")).SerializeToString()) == Entry(kind="")
    with pytest.raises(ValueError, match="cut off"):
        entry_of(b"\xff" * 10)
