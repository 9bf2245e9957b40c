import time

from orchestrator.trial.reports import ReportTail
from orchestrator.trial.scalars import as_float32
from orchestrator.trial.tail import ForeignTail, WandbLog


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
    tail = ForeignTail(tmp_path, 2)
    a_wandb_log(tmp_path, [{"loss": 0.5, "deep": {"er": 1}, "captured": 7}, {"loss": 0.25}])
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "tb")) as writer:
        writer.add_scalar("acc", 0.1, 5)
        writer.add_text("words", "no metric")
    assert tail.copy(tail.read(), {"captured"})
    assert not tail.copy(tail.read(), {"captured"})
    tail.close()
    reports = ReportTail(tmp_path / "reports.jsonl", 2)
    found = reports.read()
    reports.close()
    assert [(r.step, dict(r.metrics)) for r in found] == [
        (0, {"loss": 0.5, "deep.er": 1.0}),
        (1, {"loss": 0.25}),
        (5, {"acc": 0.1}),
    ]
    assert all(abs(r.time - time.time()) < 100 for r in found)
    assert as_float32(0.1) != 0.1
