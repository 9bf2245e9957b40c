import os
import struct
import time
import zlib

import pytest

from orchestrator.layout import TrialDir
from orchestrator.trial.contract.reports import ReportTail
from orchestrator.trial.contract.scalars import as_float32
from orchestrator.trial.formats.wandb_log import WandbLog
from orchestrator.trial.runner.foreign_tail import ForeignTail, Line


def a_wandb_log(directory, rows):
    """A `.wandb` file that the real client writes, offline."""
    import wandb

    settings = wandb.Settings(mode="offline", silent=True, console="off", x_disable_stats=True, x_disable_meta=True)
    run = wandb.init(dir=directory, project="p", settings=settings, config={"lr": 0.1})
    for row in rows:
        run.log(row)
    run.finish(exit_code=3)
    wandb.teardown()
    (path,) = directory.glob("wandb/*run-*/run-*.wandb")
    return path


def test_a_wandb_log_is_read_as_it_grows(tmp_path):
    """Cut anywhere, also in a block's end or inside a record, nothing is lost, doubled or read half."""
    path = a_wandb_log(tmp_path, [{"loss": i / 3, "text": "x" * 900} for i in range(120)])
    data = path.read_bytes()
    assert len(data) > 2 * 32_768
    whole = [record.WhichOneof("record_type") for record in WandbLog(path).read()]
    assert whole.count("history") == 120
    for size in (1, 7, 1000, 32_768, 50_001):
        copy = tmp_path / "growing.wandb"
        copy.write_bytes(b"")
        log, kinds = WandbLog(copy), []
        for end in (*range(0, len(data), max(size, 997)), len(data)):
            copy.write_bytes(data[:end])
            kinds += [record.WhichOneof("record_type") for record in log.read()]
        assert kinds == whole


def test_what_foreign_programs_write_becomes_reports_once(tmp_path):
    """W&B rows and event files below the trial's directory; names that are captured anyway are left out."""
    tail = ForeignTail(TrialDir(tmp_path), 2)
    a_wandb_log(tmp_path, [{"loss": 0.5, "deep": {"er": 1}, "captured": 7}, {"loss": 0.25}])
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "tb")) as writer:
        writer.add_scalar("acc", 0.1, 5)
        writer.add_text("words", "no metric")
    assert tail.copy(tail.read(), {"captured"})
    assert not tail.copy(tail.read(), {"captured"})
    tail.close()
    reports = ReportTail(tmp_path / "reports.jsonl", 2)
    found = [*reports.read(), *reports.rest()]
    assert (reports.run_end.exit_code, reports.run_end.preempting) == (3, False)
    reports.close()
    assert [(r.step, dict(r.metrics)) for r in found] == [
        (0, {"loss": 0.5, "deep.er": 1.0}),
        (1, {"loss": 0.25}),
        (5, {"acc": 0.1}),
    ]
    assert all(abs(r.time - time.time()) < 100 for r in found)
    assert as_float32(0.1) != 0.1


def cut(data, at):
    return data[:at]


def spoilt(data, at):
    """The data with bytes turned over from some place on."""
    return data[:at] + bytes(byte ^ 0x55 for byte in data[at : at + 40]) + data[at + 40 :]


@pytest.mark.parametrize("damage", [cut, spoilt])
def test_a_damaged_file_does_not_end_the_reading_of_the_others(tmp_path, damage):
    """A W&B log and an event file, cut or with bytes turned over anywhere: what the others say is read."""
    good = a_wandb_log(tmp_path, [{"loss": 0.5}])
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "tb")) as writer:
        writer.add_scalar("acc", 0.1, 5)
    (events,) = (tmp_path / "tb").iterdir()
    for number, source in enumerate([good, events] * 12):
        data = source.read_bytes()
        place = (
            tmp_path / f"wandb/run-{number}-x/run-x.wandb"
            if source == good
            else tmp_path / f"bad{number}" / events.name
        )
        place.parent.mkdir(parents=True)
        place.write_bytes(damage(data, number * len(data) // 24))
    tail = ForeignTail(TrialDir(tmp_path), 0)
    tail.copy([*tail.read(), *tail.read()], set())
    tail.close()
    reports = ReportTail(tmp_path / "reports.jsonl", 0)
    found = {name: value for report in [*reports.read(), *reports.rest()] for name, value in report.metrics.items()}
    reports.close()
    assert (found["loss"], found["acc"]) == (0.5, 0.1)


def test_a_file_that_makes_its_reader_fail_is_left_alone(tmp_path):
    """A record that is whole, and no W&B record: said once, and not read again."""
    log = tmp_path / "wandb" / "run-1-x" / "run-x.wandb"
    log.parent.mkdir(parents=True)
    payload = b"\xff" * 10
    log.write_bytes(b":W&B\xbe\xe1\0" + struct.pack("<IHB", zlib.crc32(b"\1" + payload), len(payload), 1) + payload)
    (tmp_path / "events.out.tfevents.1.dir").mkdir()
    tail = ForeignTail(TrialDir(tmp_path), 0)
    assert tail.read()[1:] == []
    assert tail.read() == []
    (problem,) = tail.problems
    assert problem.startswith("run-x.wandb cannot be read further: ValueError")
    tail.close()


def test_what_a_file_says_is_bounded_as_what_a_program_says(tmp_path):
    """Steps, moments and names of a foreign program's files."""
    tail = ForeignTail(TrialDir(tmp_path), 0)
    rows = [("x", 2**63, {"a": 1.0}), (-5.0, "3", {"b" * 5000: 2.0}), (1e300, None, {"c\udce9": 3.0})]
    assert tail.copy([Line(path="x", moment=moment, step=step, metrics=row) for moment, step, row in rows], set())
    tail.close()
    reports = ReportTail(tmp_path / "reports.jsonl", 0)
    found = reports.read()
    assert [report.step for report in found] == [None, None, None]
    assert [len(name) for report in found for name in report.metrics] == [1, 999, 7]
    assert reports.problems == []
    reports.close()


def test_only_the_trials_own_run_is_read_and_nothing_that_is_captured(tmp_path):
    """Logs of other ids, files that the reports call captured, and what wandb copied or linked are left alone."""
    own = a_wandb_log(tmp_path, [{"loss": 1.0}])
    run_id = own.stem.removeprefix("run-")
    for name, captured, found in ((run_id, [], True), ("another", [], False), (run_id, [os.path.realpath(own)], False)):
        tail = ForeignTail(TrialDir(tmp_path), 0, run_id=name)
        assert tail.copy(tail.read(), set(), captured) == found
        tail.close()
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(own.parent / "files")) as writer:
        writer.add_scalar("copied", 1.0, 0)
    with SummaryWriter(str(tmp_path / "here")) as writer:
        writer.add_scalar("once", 1.0, 0)
    (event_file,) = (tmp_path / "here").iterdir()
    (tmp_path / event_file.name).symlink_to(event_file)
    tail = ForeignTail(TrialDir(tmp_path), 1, run_id="another")
    assert [(line.path, line.metrics) for line in tail.read()] == [(str(event_file), {"once": 1.0})]
    assert tail.read() == []
    tail.close()


def test_a_summary_is_read_without_what_rows_put_there(tmp_path):
    """What a program sets itself, and the best that it asks W&B to keep; a row's last values are in the rows."""
    import wandb

    settings = wandb.Settings(mode="offline", silent=True, console="off", x_disable_stats=True, x_disable_meta=True)
    run = wandb.init(dir=tmp_path, project="p", settings=settings)
    run.define_metric("loss", summary="min")
    run.log({"loss": 3.0, "acc": 0.5})
    run.log({"loss": 4.0, "acc": 0.25})
    run.summary["best"] = 7
    run.summary.update({"deep": {"er": 8}, "word": "no"})
    run.mark_preempting()
    run.finish()
    wandb.teardown()
    tail, reports = ForeignTail(TrialDir(tmp_path), 0, run_id=run.id), ReportTail(tmp_path / "reports.jsonl", 0)
    tail.copy(tail.read(), set())
    tail.close()
    assert [dict(report.metrics) for report in reports.read()] == [
        {"loss": 3.0, "acc": 0.5},
        {"loss": 4.0, "acc": 0.25},
    ]
    assert reports.summary() == {"loss.min": 3.0, "best": 7.0, "deep.er": 8.0}
    assert (reports.run_end.exit_code, reports.run_end.preempting) == (0, True)
    reports.close()
