"""The log's format, against wandb's own reader and ours."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wandb.proto import wandb_internal_pb2 as pb

from orchestrator.trial.formats import wandb_log
from orchestrator.trial.formats.wandb_log import BLOCK, LogWriter, WandbLog, exit_record, step_of


def row(step, filler):
    items = [pb.HistoryItem(nested_key=["_step"], value_json=str(step))]
    items.append(pb.HistoryItem(nested_key=["text"], value_json=json.dumps("x" * filler)))
    return pb.Record(history=pb.HistoryRecord(item=items))


@pytest.mark.parametrize("part", [BLOCK, wandb_log._PART])
def test_records_of_every_size_come_back(tmp_path_factory, monkeypatch, part):
    """Records that end anywhere in a block, fill it or span several are read back as they were, in parts of any size."""
    monkeypatch.setattr(wandb_log, "_PART", part)

    @settings(max_examples=60)
    @given(st.lists(st.one_of(st.integers(0, 200), st.integers(BLOCK - 120, BLOCK + 40)), max_size=12))
    def check(sizes):
        path = tmp_path_factory.mktemp("log") / "run-x.wandb"
        writer = LogWriter(path)
        records = [row(step, size) for step, size in enumerate(sizes)] + [exit_record(3)]
        for record in records:
            writer.write(record)
        writer.close()
        assert list(WandbLog(path).read()) == records

    check()


def test_a_damaged_record_ends_the_reading(tmp_path, monkeypatch):
    """What follows a record that is damaged, or not completely written, is not read; what is before it is."""
    monkeypatch.setattr(wandb_log, "_PART", BLOCK)
    path = tmp_path / "run-x.wandb"
    writer = LogWriter(path)
    records = [row(step, 1000) for step in range(200)]
    for record in records:
        writer.write(record)
    writer.close()
    data = bytearray(path.read_bytes())
    data[50 * 1000] ^= 1
    path.write_bytes(data)
    log = WandbLog(path)
    found = list(log.read())
    assert found == records[: len(found)]
    assert 40 < len(found) < 50
    assert list(log.read()) == []


@pytest.mark.parametrize("key", ["key", "nested_key"])
def test_the_step_of_a_row_is_found_in_either_form(key):
    """Wandb writes item names as a key or as a path."""
    name = {"key": "_step"} if key == "key" else {"nested_key": ["_step"]}
    assert step_of(pb.HistoryRecord(item=[pb.HistoryItem(value_json="17", **name)])) == 17
    assert step_of(pb.HistoryRecord(step=pb.HistoryStep(num=4))) == 4
    assert step_of(pb.HistoryRecord()) is None
