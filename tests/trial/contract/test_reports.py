import json
import math
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.layout import REPORTS
from orchestrator.trial.contract.bounds import LARGEST_STEP, LATEST_S
from orchestrator.trial.contract.reports import ReportTail, ReportWriter
from tests.json_values import ANY_TEXT, JSON


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


GOOD = b'{"attempt": 0, "t": 1.0, "step": null, "m": {"loss": 0.5}}'


def read(path, content, attempt=0):
    """Read a file of reports from its beginning; return them and what was left out."""
    path.write_bytes(content)
    tail = ReportTail(path, attempt)
    try:
        return tail.read(), tail.problems
    finally:
        tail.close()


def line(**changes):
    """A report's line with something else in it."""
    return json.dumps({"attempt": 0, "t": 1.0, "step": 1, "m": {"loss": 0.5}} | changes).encode()


@pytest.mark.parametrize(
    "bad",
    [
        *[line(m=m) for m in (None, 5, [1], "x", True)],
        *[line(t=t) for t in ("x", None, [], math.nan, -1, 1e300, 10**400, True)],
        *[line(attempt=attempt) for attempt in (True, 0.0, "0", None, [], -1, 2**70)],
        *[b"null", b"[]", b"5", b"\xff\xfe", b"\0" * 50, b"[" * 200_000, b'{"m":' * 200_000, b"9" * 5000, b"{}"],
    ],
    ids=lambda bad: bad[:60],
)
def test_a_line_that_is_no_report_is_passed_over_and_said(tmp_path, bad):
    """The reports around it are read, and one sentence says what stood there."""
    reports, problems = read(tmp_path / REPORTS, b"\n".join([GOOD, bad, GOOD, b""]))
    assert [(report.index, report.metrics) for report in reports] == [(0, {"loss": 0.5}), (1, {"loss": 0.5})]
    assert problems[0].startswith("a line of reports.jsonl is no report: ")
    assert problems[0].isprintable()


@pytest.mark.parametrize(
    ("good", "step", "metrics"),
    [
        (line(step="x"), None, {"loss": 0.5}),
        (line(step=2**63), None, {"loss": 0.5}),
        (line(step=LARGEST_STEP), LARGEST_STEP, {"loss": 0.5}),
        (line(step=[]), None, {"loss": 0.5}),
        (line(m={"loss": None, "acc": 1}), 1, {"acc": 1.0}),
        (line(m={"loss": "0.5", "acc": [1]}), 1, {}),
        (line(m={"loss": 10**20}), 1, {"loss": 1e20}),
        (line(m={"loss": 10**400}), 1, {"loss": math.inf}),
        (line(m={"a\udce9": 1.0}), 1, {"a\\udce9": 1.0}),
        (b'{"attempt": 0, "t": 1, "step": 1, "m": {"loss": 1}, "m": {"loss": 2, "loss": 3}}', 1, {"loss": 3.0}),
    ],
)
def test_what_is_valid_of_a_report_counts(tmp_path, good, step, metrics):
    """Values that are numbers and steps that are steps."""
    (report,), _ = read(tmp_path / REPORTS, good + b"\n")
    assert (report.step, report.metrics) == (step, metrics)


def test_a_line_without_end_takes_no_memory(tmp_path, monkeypatch):
    """It is left out, and what follows is read."""
    monkeypatch.setattr("orchestrator.trial.contract.reports.LONGEST_LINE", 1 << 21)
    endless = b'{"attempt": 0, "m": "' + b"x" * (9 << 20)
    reports, problems = read(tmp_path / REPORTS, GOOD + b"\n" + endless + b"\n" + GOOD + b"\n" + endless)
    assert [report.index for report in reports] == [0, 1]
    assert problems == ["a line of reports.jsonl is longer than 2097152 bytes; it is left out"] * 2


def test_what_is_no_file_holds_no_reports(tmp_path):
    """A directory of that name, and a pipe, which nobody waits for."""
    (tmp_path / "dir").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("dir", "pipe"):
        tail = ReportTail(tmp_path / name, 0)
        assert tail.read() == []
        assert tail.read() == []
        assert tail.problems == ["reports.jsonl is no file"]
        tail.close()


LIKE_REPORTS = st.fixed_dictionaries(
    {"attempt": st.just(0) | JSON, "t": st.just(1.0) | JSON, "step": st.integers() | JSON, "m": JSON},
    optional={"more": JSON},
)


@given(st.lists(LIKE_REPORTS | JSON, max_size=5), st.binary(max_size=20), ANY_TEXT)
@example([{"attempt": 0, "t": 1, "step": 2**63, "m": {"": 1}}], b"\0", "\udce9")
def test_whatever_is_in_the_file_becomes_valid_reports(tmp_path_factory, values, junk, text):
    """Every one has an index, a moment, a step or none, and numbers by names that can be stored and shown."""
    lines = [json.dumps(value).encode() for value in values]
    content = b"\n".join([*lines, junk, text.encode("utf-8", "surrogatepass"), GOOD, b""])
    reports, problems = read(tmp_path_factory.getbasetemp() / REPORTS, content)
    assert [report.index for report in reports] == list(range(len(reports)))
    assert reports[-1].metrics == {"loss": 0.5}
    for report in reports:
        assert 0 <= report.time <= LATEST_S
        assert report.step is None or (type(report.step) is int and abs(report.step) <= LARGEST_STEP)
        assert all(type(v) is float and name.encode().decode() == name for name, v in report.metrics.items())
    assert all(problem.encode() for problem in problems)


def test_a_writer_knows_whether_it_is_alone(tmp_path):
    """Another process's line, or an earlier attempt's, is one that it did not write."""
    path = tmp_path / "reports.jsonl"
    writer, other = ReportWriter(path, 0), ReportWriter(path, 0)
    writer.write({"loss": 1.0}, 0)
    assert writer.is_alone
    assert not other.is_alone
    other.write({"loss": 1.0}, 0)
    assert not writer.is_alone


def test_what_a_series_is_called_is_known_to_all_processes(tmp_path):
    """Each has a name for what it writes itself; which of them are one name in two directories, the file says."""
    path = tmp_path / "reports.jsonl"
    writer, tail = ReportWriter(path, 1), ReportTail(path, 1)
    writer.write({"loss": 1.0}, 0, api="tensorboard", place="runs/fold0")
    tail.read()
    assert tail.series_name("runs/fold0", "loss") == "loss"
    writer.write({"loss": 2.0}, 0, api="tensorboard", place="runs/fold1")
    tail.read()
    found = [tail.series_name(f"runs/fold{n}", "loss") for n in range(2)]
    assert found == ["fold0/loss", "fold1/loss"]
    assert tail.series_name("runs/fold2", "loss") == "loss"
