import os
import sys

import pytest

from orchestrator.spec import Reading, SpecError, load_dict, load_file, load_text
from orchestrator.spec.model import Method, SweepSpec
from orchestrator.spec.reader import KEYS, load_recorded
from tests.spec.readings import HEAD, read, said, with_keys

GOOD = HEAD + "parameters: {a: {values: [1, 2]}}\n"


def test_every_top_level_key():
    """All of W&B's schema and the project's own block, without a finding."""
    text = """
apiVersion: v1
kind: sweep
program: train.py
name: a name
description: |
  two
  lines
project: p
entity: e
method: bayes
metric: {name: loss, goal: minimize}
parameters: {a: {min: 0.0, max: 1.0}}
early_terminate: {type: hyperband, min_iter: 3}
run_cap: 10.0
command: ["${env}", "${interpreter}", "${program}", "${args}"]
controller: {type: local, more: allowed}
job: j
image_uri: registry/image:tag
orchestrator: {seed: 7}
"""
    reading = read(text)
    assert said(reading) == []
    spec = reading.require()
    found = {key: getattr(spec, key) for key in ("name", "project", "entity", "job", "image_uri", "run_cap", "program")}
    assert found == {
        "name": "a name",
        "project": "p",
        "entity": "e",
        "job": "j",
        "image_uri": "registry/image:tag",
        "run_cap": 10,
        "program": "train.py",
    }
    assert spec.description == "two\nlines\n"
    assert spec.controller == {"type": "local", "more": "allowed"}
    assert set(KEYS) - {line.split(":")[0] for line in text.splitlines()} == {"metrics", "scheduler"}


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_methods(method):
    """As W&B spells them."""
    assert with_keys("metric: {name: l}", method).spec.method is Method(method)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Bayes", "2:9 error method: 'Bayes' is not allowed"),
        ("hyperband", "2:9 error method: 'hyperband' is not allowed"),
        ("3", "2:9 error method: 3 is not allowed"),
        ("", "2:8 error method: nothing is not allowed"),
        ("[grid]", "2:9 error method: ['grid'] is not allowed"),
    ],
)
def test_what_is_no_method(given, expected):
    """Case counts, as in W&B."""
    assert said(with_keys("metric: {name: l}", given)) == [expected]


def test_what_is_missing():
    """Method, parameters and program, at the top."""
    assert said(read("name: x")) == [
        "1:1 error : has no `method`",
        "1:1 error : has no `parameters`",
        "1:1 error : has no `program`",
    ]
    assert said(read(HEAD + "parameters:")) == ["1:1 error : has no `parameters`"]
    assert said(read(HEAD + "parameters: {}")) == ["3:13 error parameters: has no entries"]
    assert said(read(HEAD + "parameters: [a]")) == ["3:13 error parameters: ['a'] is not a mapping of parameter names"]


def test_a_search_space_of_ones_own_needs_no_parameters():
    """`scheduler.search_space` is enough, as in W&B."""
    reading = read("program: t.py\nmethod: custom\nscheduler: {engine: optuna, source: s.py, search_space: f}")
    assert said(reading) == []
    assert reading.spec.parameters == {}


@pytest.mark.parametrize(
    ("where", "mark"), [("parameters", (3, 1)), ("parameters.b", (3, 1)), ("run_cap", None), (None, None)]
)
def test_what_only_trying_shows_stands_at_the_key_to_blame_or_above_it(where, mark):
    """A refusal of the search is an error like those of the reader: no spec is left."""
    reading = with_keys("").refused("parameters: this engine takes none", where)
    assert reading.spec is None
    (error,) = reading.errors
    assert (error.mark and (error.mark.line, error.mark.column)) == mark
    assert error.message.endswith("this engine takes none")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("parameter", "did you mean `parameters`?"),
        ("Method", "did you mean `method`?"),
        ("early_termination", "did you mean `early_terminate`?"),
        ("imports", "allowed here: program, "),
        ("prior_runs", "allowed here: program, "),
        ("seed", "it belongs under `orchestrator:`, as `orchestrator: {seed: ...}`"),
        ("resources", "it belongs under `orchestrator:`, as `orchestrator: {resources: ...}`"),
    ],
)
def test_unknown_keys_are_warnings(key, hint):
    """W&B goes on without them; the hint says what was probably meant, or where it belongs."""
    reading = with_keys(f"{key}: {{}}")
    assert said(reading) == [f"4:1 warning {key}: the key `{key}` means nothing here and is ignored"]
    assert reading.findings[0].hint.startswith(hint)


@pytest.mark.parametrize("cap", ["0", "-1", "2.5", "true", "ten", "[1]"])
def test_what_is_no_run_cap(cap):
    """A whole number of at least 1."""
    (message,) = said(with_keys(f"run_cap: {cap}"))
    assert message == f"4:10 error run_cap: {'ten'!r} is not a whole number of at least 1".replace(
        "'ten'", "'ten'" if cap == "ten" else cap
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("local", "4:13 warning controller: 'local' is not a mapping"),
        ("{}", "4:13 warning controller: has no `type`"),
        ("{type: remote}", "4:20 warning controller.type: 'remote' is neither local nor cloud"),
        ("{type: [local]}", "4:20 warning controller.type: ['local'] is neither local nor cloud"),
    ],
)
def test_controllers_do_not_matter(given, expected):
    """The sweep is controlled here in any case."""
    reading = with_keys(f"controller: {given}")
    assert said(reading) == [expected]
    assert reading.spec is not None


@pytest.mark.parametrize("text", ["- 1", "hello", "3", "null", "'{}'"])
def test_what_is_no_mapping(text):
    """A spec has keys."""
    (message,) = said(read(text))
    assert message.startswith("1:1 error : ")
    assert message.endswith(" is not a mapping")


def test_line_ends_do_not_matter():
    """Windows files and byte-order marks mean the same, and positions too."""
    assert read("\ufeff" + GOOD.replace("\n", "\r\n")).spec == read(GOOD).spec
    bad = GOOD + "speed: 1\n"
    assert said(read("\ufeff" + bad.replace("\n", "\r\n"))) == said(read(bad))
    assert read("\ufeffspeed: 1\n" + GOOD).text().splitlines()[1] == "    1 | speed: 1"


def test_all_problems_at_once():
    """Errors and warnings of every section, in the order of the text; the spec is then none."""
    text = "method: rondom\nparameters: {a: {min: 2, max: 1}, b: 3}\nrun_cap: 0\nspeed: 1\norchestrator: {seed: x}\n"
    reading = read(text)
    assert reading.spec is None
    assert [f.where for f in reading.findings] == [
        "",
        "method",
        "parameters.a",
        "parameters.b",
        "run_cap",
        "speed",
        "orchestrator.seed",
    ]
    assert len(reading.errors) == 6
    assert [f.where for f in reading.warnings] == ["speed"]


def file_reading(tmp_path, data):
    path = tmp_path / "s.yaml"
    path.write_bytes(data)
    return load_file(path)


def test_a_file(tmp_path):
    """Its path is the name in messages."""
    reading = file_reading(tmp_path, GOOD.encode())
    assert isinstance(reading.require(), SweepSpec)
    assert reading.path == str(tmp_path / "s.yaml")


def test_standard_input(tmp_path):
    """`-` reads it, and leaves it open."""
    path = tmp_path / "s.yaml"
    path.write_text(GOOD + "speed: 1", encoding="utf-8")
    before = os.dup(0)
    try:
        with path.open("rb") as file:
            os.dup2(file.fileno(), 0)
        reading = load_file("-")
        assert os.fstat(0).st_size == path.stat().st_size
    finally:
        os.dup2(before, 0)
        os.close(before)
    assert reading.spec is not None
    assert reading.text().startswith("<stdin>:4:1: warning")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty: a spec has at least `method` and `parameters`"),
        (GOOD.encode("utf-16"), "UTF-16 text"),
        (GOOD.encode("utf-16-be"), "control character '\\x00'"),
        (b"method: gr\xe9d", "the byte 0xe9 is not UTF-8"),
        (b"a: \x80", "the byte 0x80 is not UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00", "the byte 0x89 is not UTF-8"),
        (b"a: b\x00c", "control character '\\x00'"),
        (b"x" * 1_000_001, "larger than 1,000,000 bytes"),
        (b"\xc3\xa9" * 500_001, "larger than 1,000,000 bytes"),
    ],
)
def test_files_that_are_no_text(tmp_path, data, expected):
    """One finding, never a traceback."""
    reading = file_reading(tmp_path, data)
    assert reading.spec is None
    assert [f.message for f in reading.findings] == [expected]


def test_the_place_of_a_byte_that_is_no_text(tmp_path):
    """Counted in characters, as every column."""
    (finding,) = file_reading(tmp_path, "a: ü\nb: ü".encode() + b"\xff").findings
    assert (finding.mark.line, finding.mark.column) == (2, 5)


def test_a_byte_order_mark_in_a_file(tmp_path):
    """As Windows editors write it."""
    assert file_reading(tmp_path, b"\xef\xbb\xbf" + GOOD.encode()).findings == ()


def test_files_that_cannot_be_opened(tmp_path):
    """Missing, a directory, or with a name that no file can have."""
    assert [f.message for f in load_file(tmp_path / "none.yaml").findings] == ["no such file or directory"]
    assert load_file("a\0b").findings[0].message == "embedded null byte"
    (finding,) = load_file(tmp_path).findings
    assert (finding.message, finding.hint) == ("a directory", f"name the files in it: {tmp_path}/*.yaml")
    with pytest.raises(SpecError, match=r"none\.yaml cannot be run\n\n.*: error: no such file or directory"):
        load_file(tmp_path / "none.yaml").require()


def test_a_dict_means_what_its_yaml_means():
    """Without lines in the findings."""
    data = {
        "program": "train.py",
        "method": "random",
        "parameters": {"a": {"values": (1, 2)}, "lr": {"min": 0, "max": 0.5}, "s": {"value": "1e-5"}},
    }
    reading = load_dict(data)
    assert said(reading) == [
        "warning: one bound is a whole number and the other is not (0 and 0.5)",
    ]
    assert reading.text().startswith("<dict>: warning: parameters.lr.min: one bound")
    assert reading.spec.parameters["s"].value == "1e-5"
    assert reading.spec.parameters["a"].values == (1, 2)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"method": "grid", "parameters": {1: {"value": 2}}}, "the key 1 is not a string"),
        ({"method": "grid", "parameters": {"a": {"values": {1, 2}}}}, "a set is not a value of a spec"),
        ({"method": print, "parameters": {}}, "a builtin_function_or_method is not a value of a spec"),
        ([], "[] is not a mapping"),
        (None, "None is not a mapping"),
    ],
)
def test_a_dict_that_is_no_spec(data, expected):
    """One finding, never a traceback."""
    reading = load_dict(data)
    assert isinstance(reading, Reading)
    assert [f.message for f in reading.errors] == [expected]


def test_overrides_of_a_dict():
    """As of a file."""
    data = {"program": "t.py", "method": "random", "parameters": {"a": {"values": [1]}}}
    assert load_dict(data, overrides={"run_cap": "3"}).spec.run_cap == 3


def test_a_spec_without_program_where_none_is_needed():
    """A recorded sweep, or one whose function is passed in Python."""
    assert load_text("method: random\nparameters: {a: {value: 1}}", needs_program=False).findings == ()
    assert load_dict({"method": "random", "parameters": {"a": {"value": 1}}}, needs_program=False).findings == ()


def test_reading_has_no_side_effects(capfd):
    """Nothing is printed."""
    read("method: gird")
    assert capfd.readouterr() == ("", "")
    assert "orchestrator.spec.reader" in sys.modules


def test_a_recorded_spec_needs_no_program():
    """It may have been a function."""
    spec = load_recorded("method: random\nmetric: {name: loss}\nparameters: {a: {values: [1, 2]}}")
    assert (spec.method, spec.program, spec.command) == (Method.RANDOM, None, None)
