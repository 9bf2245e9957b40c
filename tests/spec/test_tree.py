import enum

import hypothesis.strategies as st
import numpy as np
import pytest
import yaml
from hypothesis import given

from orchestrator.spec import load_text
from orchestrator.spec.findings import Findings
from orchestrator.spec.tree import MAX_DEPTH, MAX_NODES, Refused, from_data, parse


def tree(text):
    """Return the tree of text that has no findings."""
    findings = Findings(path="s")
    found = parse(text, findings)
    assert findings.sorted() == ()
    return found


def refusals(text):
    """Return ``line:column message`` of every finding."""
    findings = Findings(path="s")
    parse(text, findings)
    return [f"{f.mark.line}:{f.mark.column} {f.message}" if f.mark else f.message for f in findings.sorted()]


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
documents = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(documents, st.sampled_from([None, False, True]))
def test_values_are_those_of_safe_load(data, flow):
    """Whatever PyYAML writes, in block or flow style, is read as PyYAML reads it."""
    text = yaml.safe_dump(data, allow_unicode=True, default_flow_style=flow)
    findings = Findings(path="s")
    found = parse(text, findings)
    if findings.sorted():
        assert (
            any(c in text for c in ("\\0", "\\uD", "\\ud", "control", "\x00"))
            or "beyond" in findings.sorted()[0].message
        )
        return
    assert found.plain() == yaml.safe_load(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {b: 1}\nc: *x",
        "a: &x [1, 2]\nb: [*x, *x]",
        "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}",
        "a: &x {b: 1}\ny: &y {e: 4}\nd: {c: 3, <<: [*x, *y]}",
        "a: |\n  two\n  lines\nb: >\n  folded\n  text",
        "%YAML 1.1\n---\na: 1\n...",
        "a: !!str 1\nb: !!int '3'\nc: !!float 1e-5\nd: ! 12",
        '"<<": 1',
        "? a\n: b",
        "a: 0x10\nb: 0b11\nc: 010\nd: 1:30\ne: 1_000\nf: .inf\ng: -.INF\nh: +1.5e+3",
        "a: yes\nb: No\nc: ON\nd: ~\ne:\nf: null",
    ],
)
def test_yaml_means_what_it_means_elsewhere(text):
    """Aliases, merges, blocks, tags of plain types, and the words of YAML 1.1."""
    assert tree(text).plain() == yaml.safe_load(text)


def test_places_are_those_of_the_text():
    """Lines and columns from 1, of values and of keys, after wide characters and a byte-order mark."""
    found = tree("\ufeffa: 1\nüé: {b: [1,\n  x]}\n")
    assert found.keys["a"] == found.keys["a"].__class__(1, 1)
    inner = found.items["üé"].items["b"]
    assert [(v.mark.line, v.mark.column) for v in inner.elements] == [(2, 10), (3, 3)]
    assert found.items["üé"].keys["b"].column == 6


def test_raw_is_the_text_of_plain_scalars():
    """Not of quoted ones, nor of those with a tag."""
    found = tree("[010, '010', \"x\", !!str 1e-5, abc]")
    assert [v.raw for v in found.elements] == ["010", None, None, None, "abc"]


REFUSED = [
    ("", "empty: a spec has at least `method` and `parameters`"),
    ("# nothing\n", "empty: a spec has at least `method` and `parameters`"),
    ("a: 1\n---\nb: 2", "2:1 a second document begins here"),
    ("[a]: 1", "1:1 a list or mapping cannot be a key"),
    ("? {a: 1}\n: 1", "1:3 a list or mapping cannot be a key"),
    ("a: *x", "1:4 the alias *x has no complete anchor before it"),
    ("a: &x [*x]", "1:8 the alias *x has no complete anchor before it"),
    ("a: &x b\n*x : 1", "2:1 an alias cannot be a key"),
    ("a: {<<: 3}", "1:5 `<<` merges mappings only"),
    ("a: {<<: [3]}", "1:5 `<<` merges mappings only"),
    ("a: b: c", "1:5 not YAML: mapping values are not allowed in this context"),
    ("a: [1,\nb", "1:4 not YAML: while parsing a flow sequence did not find expected ',' or ']'"),
    ("a: 'b\nc", "1:4 not YAML: while scanning a quoted scalar found unexpected end of stream"),
    ("\ta: 1", "1:1 not YAML: while scanning for the next token found character that cannot start any token"),
    ("a: &", "1:4 not YAML: while scanning an anchor did not find expected alphabetic or numeric character"),
    ("a: !<x", "1:4 not YAML: while scanning a tag did not find the expected '>'"),
    ("a: \x00", "1:4 control character '\\x00'"),
    ("a: 1\n\x0cb: 2", "2:1 control character '\\x0c'"),
    ("a: 1\r\nb:\x1b", "2:3 control character '\\x1b'"),
    ("\x07", "1:1 control character '\\x07'"),
    ("a: \ud800", "1:4 control character '\\ud800'"),
]


@pytest.mark.parametrize(("text", "expected"), REFUSED)
def test_text_that_cannot_be_read(text, expected):
    """One finding, with its place."""
    assert refusals(text) == [expected]


def test_tabs_get_a_hint():
    """The parser's own words do not name them."""
    findings = Findings(path="s")
    parse("a:\n\tb: 1", findings)
    assert findings.sorted()[0].hint == "YAML is indented with spaces, never with tabs"


@pytest.mark.parametrize(
    ("text", "word"),
    [("a: b: c", "quotes"), ("a: 1\nb", "colon"), ("a: *", "quotes"), ("a: [\nb: {", None), ("a: 'b", "quotes")],
)
def test_hints_for_common_slips(text, word):
    """Where the parser's words need a translation."""
    findings = Findings(path="s")
    parse(text, findings)
    hint = findings.sorted()[0].hint
    assert (hint is None) if word is None else (word in hint)


RECOVERED = [
    ("a: 1\nb: 2\na: 3", "3:1 the key 'a' is here twice"),
    ("x: {y: 1, y: 1}", "1:11 the key 'y' is here twice"),
    ("1: a", "1:1 the key 1 is not a string"),
    ("on: a", "1:1 the key on is not a string"),
    ("2020-01-01: a", "1:1 the key 2020-01-01 is not a string"),
    ("null: a", "1:1 the key null is not a string"),
    ("a: 2020-01-01", "1:4 2020-01-01 is a date in YAML"),
    ("a: !!binary aGk=", "1:4 the tag tag:yaml.org,2002:binary is not allowed in a spec"),
    ("a: !!set {b: c}", "1:4 the tag tag:yaml.org,2002:set is not allowed in a spec"),
    ("a: !!python/none x", "1:4 the tag tag:yaml.org,2002:python/none is not allowed in a spec"),
    ("a: !!python/object/apply:os.system ['true']", "1:4 the tag tag:yaml.org,2002:python/object/apply:os.system "),
    ("a: !!python/name:os.system ''", "1:4 the tag tag:yaml.org,2002:python/name:os.system is not allowed in a spec"),
    ("a: !mine 3", "1:4 the tag !mine is not allowed in a spec"),
    ("a: !!int x", "1:4 'x' is no int"),
    ("a: !!float x", "1:4 'x' is no float"),
    ("a: !!bool x", "1:4 'x' is no bool"),
    ("a: =", "1:4 the tag tag:yaml.org,2002:value is not allowed in a spec"),
    (f"a: {'9' * 401}", "1:4 a number of 401 characters"),
    (f"a: {'9' * 400}", "1:4 a whole number beyond the largest float"),
    ("a: !!int ''", "1:4 '' is no int"),
    ('a: "\\0"', "1:4 '\\x00' has a character that no command line can carry"),
    ('"\\0": 1', "1:1 the key '\\x00' has a character that no file can carry"),
]


@pytest.mark.parametrize(("text", "expected"), RECOVERED)
def test_mistakes_that_leave_the_rest_readable(text, expected):
    """One finding; what follows is read all the same, so that all mistakes are told at once."""
    (message,) = refusals(text)
    assert message.startswith(expected)
    assert refusals(f"{text}\nzz: 1\nzz: 2")[1:] == [f"{text.count(chr(10)) + 3}:1 the key 'zz' is here twice"]


def test_the_location_of_a_mistake_in_the_text():
    """Dotted, with the positions in lists."""
    findings = Findings(path="s")
    parse("a: {b: [1, {c: 2020-01-01}]}", findings)
    assert findings.sorted()[0].where == "a.b[1].c"


def test_depth_is_limited_in_every_form():
    """In flow and block style, and through aliases."""
    allowed = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert tree(allowed).depth == MAX_DEPTH
    assert refusals("[" * 100_000) == [f"1:{MAX_DEPTH + 1} nested more than {MAX_DEPTH} levels deep"]
    assert refusals("- " * 100_000 + "x") == [f"1:{2 * MAX_DEPTH + 1} nested more than {MAX_DEPTH} levels deep"]
    chain = "\n".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 200))])
    assert "nested more than" in refusals(chain)[0]


def test_the_number_of_values_is_limited():
    """Aliases count as often as they are used."""
    assert refusals("[" + "1," * MAX_NODES + "]")[0].endswith("(aliases count as often as they are used)")
    bomb = "\n".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10))])
    assert "more than 20,000 values" in refusals(bomb)[0]


class Color(enum.StrEnum):
    RED = "red"


def test_plain_data_is_copied():
    """Numbers of numpy and string enums become Python's own."""
    data = {
        "a": [1, 2.5, None, True, "x", (1, 2)],
        "b": {"f": np.float64(0.5), "i": np.int64(3), "t": np.bool_(True), "v": np.arange(3)},
        "c": Color.RED,
    }
    found = from_data(data).plain()
    assert found == {
        "a": [1, 2.5, None, True, "x", [1, 2]],
        "b": {"f": 0.5, "i": 3, "t": True, "v": [0, 1, 2]},
        "c": "red",
    }
    kinds = [type(found["b"][k]) for k in "fit"] + [type(found["c"])]
    assert kinds == [float, int, bool, str]


@pytest.mark.parametrize(
    ("data", "where", "message"),
    [
        ({1: 2}, "", "the key 1 is not a string"),
        ({"a": {None: 2}}, "a", "the key None is not a string"),
        ({"a": [{2, 3}]}, "a.0", "a set is not a value of a spec"),
        ({"a": object()}, "a", "a object is not a value of a spec"),
        ({"a": np.datetime64("2020-01-01")}, "a", "a datetime64 is not a value of a spec"),
        ({"a": 10**400}, "a", "a whole number is beyond the largest float"),
        ({"a": "x\0"}, "a", "'x\\x00' has a character that no file can carry"),
        ({"a\0": 1}, "", "'a\\x00' has a character that no file can carry"),
        ({"a": "\ud800"}, "a", "'\\ud800' has a character that no file can carry"),
        ({"a": [0] * MAX_NODES}, "", f"more than {MAX_NODES:,} values"),
    ],
)
def test_data_that_no_spec_can_have(data, where, message):
    """Refused with its location."""
    with pytest.raises(Refused) as caught:
        from_data(data)
    assert (caught.value.finding.where, caught.value.finding.message) == (where, message)


def test_data_that_contains_itself():
    """Refused, not followed for ever; so is a list that stands in a billion places."""
    data = {}
    data["a"] = data
    with pytest.raises(Refused, match="nested more than 60 levels deep"):
        from_data(data)
    bomb = [1]
    for _ in range(9):
        bomb = [bomb] * 10
    with pytest.raises(Refused, match="more than 20,000 values"):
        from_data(bomb)


@pytest.mark.parametrize("value", [r'"C:\data"', r'"acc\udcff"', r'"a\xzz"'])
def test_a_backslash_that_begins_no_escape_is_explained(value):
    """Not as quotes that are not closed."""
    (finding, *_) = load_text(f"program: {value}\n", path="sweep.yaml").findings
    assert finding.hint is not None
    assert "single quotes" in finding.hint
