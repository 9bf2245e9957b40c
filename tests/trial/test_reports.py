import json
import math
import os

from orchestrator.trial.reports import ReportTail, ReportWriter


def test_what_is_written_is_read_once_and_in_order(tmp_path):
    """A tail sees each report once, as it comes, with its place as index; NaN and infinities are themselves."""
    path = tmp_path / "reports.jsonl"
    tail = ReportTail(path, 0)
    assert tail.read() == []
    writer = ReportWriter(path, 0)
    writer.write({"a": 1.5, "b": math.nan}, 7)
    writer.write({"c": -math.inf})
    first, second = tail.read()
    assert (first.index, first.step, first.metrics["a"], math.isnan(first.metrics["b"])) == (0, 7, 1.5, True)
    assert (second.index, second.step, second.metrics) == (1, None, {"c": -math.inf})
    writer.write({"a": 2.0}, 8, 12.5)
    assert [(r.index, r.time) for r in tail.read()] == [(2, 12.5)]
    assert tail.read() == []
    writer.close()
    tail.close()


def test_a_torn_line_is_waited_for_and_a_lost_one_skipped(tmp_path):
    """Half a line is read when it is whole; one that a kill tore apart is no report, and does not spoil the next attempt's."""
    path = tmp_path / "reports.jsonl"
    path.write_text('{"attempt": 0, "t": 1.0, "step": null, "m": {"a": 1}}\n{"attempt": 0, "t"')
    tail = ReportTail(path, 0)
    assert [r.metrics for r in tail.read()] == [{"a": 1}]
    with path.open("a") as file:
        file.write(': 2.0, "step": 1, "m": {"a": 2}}\n{"attempt": 0, "t": 3')
    assert [(r.index, r.metrics) for r in tail.read()] == [(1, {"a": 2})]
    tail.close()
    writer = ReportWriter(path, 1)
    writer.write({"a": 3})
    writer.close()
    later = ReportTail(path, 1)
    assert [(r.index, r.metrics) for r in later.read()] == [(0, {"a": 3})]
    later.close()


def test_lines_of_several_processes_do_not_mix(tmp_path):
    """Four processes that append at once: every line is whole."""
    path = tmp_path / "reports.jsonl"
    children = []
    for child in range(4):
        pid = os.fork()
        if pid == 0:
            writer = ReportWriter(path, 0)
            for i in range(200):
                writer.write({f"name{child}" * 20: i})
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 800
    tail = ReportTail(path, 0)
    assert [r.index for r in tail.read()] == list(range(800))
    tail.close()
