import hypothesis.strategies as st
import pytest
import yaml
from hypothesis import given

from orchestrator.spec.cursor import Cursor, yaml_float
from orchestrator.spec.findings import Findings
from orchestrator.spec.tree import Value, parse
from tests.spec.readings import read, said, with_keys


def cursor(text):
    findings = Findings(path="s")
    return Cursor(parse(text, findings), "x", findings)


def messages(at):
    return [f.message for f in at.findings.sorted()]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_written_as_yaml_1_1_reads_them(value):
    """What a fix proposes comes back as the same float, never as a string."""
    found = yaml.safe_load(yaml_float(value))
    assert isinstance(found, float)
    assert found == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abc", "'abc'"),
        ("3", "3"),
        ("0x10", "0x10"),
        ("010", "010 (YAML 1.1 reads it as 8)"),
        ("off", "off (YAML 1.1 reads it as false)"),
        ("true", "true"),
        ("null", "null"),
        ("[1, a]", "[1, 'a']"),
        ('"3"', "'3'"),
    ],
)
def test_values_are_shown_as_written(text, expected):
    """With what YAML 1.1 makes of them where that surprises."""
    assert cursor(text).shown == expected


def test_values_are_shortened():
    """A message is a line."""
    shown = cursor("x" * 500).shown
    assert len(shown) == 60
    assert shown.endswith("...")


def test_null_of_a_dict_is_nothing():
    """There is no text to show."""
    assert Cursor(Value(None), "x", Findings(path="s")).shown == "None"


@pytest.mark.parametrize(("text", "value"), [("10", 10), ("10.0", 10), ("1e3", 1000), ("1.5e3", 1500)])
def test_whole_numbers(text, value):
    """However they are written."""
    at = cursor(text)
    assert at.integer(least=1) == value
    assert type(at.integer(least=1)) is int


@pytest.mark.parametrize("text", ["2.5", "true", "'10'", "x", "[1]", "0", "-3", "1e-3", "1e999", ".inf", ".nan", "~"])
def test_what_is_no_whole_number(text):
    """The message has the least that is allowed."""
    at = cursor(text)
    assert at.integer(least=1) is None
    assert messages(at) == [f"{at.shown} is not a whole number of at least 1"]


def test_quotes_around_a_number_are_the_fix():
    """And not for what only looks like one in YAML 1.1."""
    for text, fix in (("'10'", "10"), ("'0.5'", "0.5"), ("'1e3'", "1000.0"), ("1e-3", "0.001"), ("'x'", None)):
        at = cursor(text)
        at.integer(least=1)
        assert [f.fix for f in at.findings.sorted()] == [fix]


@pytest.mark.parametrize(
    ("keys", "expected", "value"),
    [
        ("name: 2024", "4:7 warning name: 2024 is not a string", "2024"),
        ("name: 1.50", "4:7 warning name: 1.50 is not a string", "1.50"),
        ("name: off", "4:7 warning name: off (YAML 1.1 reads it as false) is not a string", "off"),
        ("name: 010", "4:7 warning name: 010 (YAML 1.1 reads it as 8) is not a string", "010"),
    ],
)
def test_text_without_quotes_is_read_as_written(keys, expected, value):
    """A number or boolean where a string belongs: W&B complains and goes on."""
    reading = with_keys(keys)
    assert said(reading) == [expected]
    assert reading.spec.name == value
    assert reading.findings[0].fix == f'"{value}"'


@pytest.mark.parametrize("key", ["name", "project", "entity", "job", "image_uri"])
@pytest.mark.parametrize("value", ["../../etc", "..", "a/../b", "a\\\\..\\\\b"])
def test_names_stay_where_they_are_put(key, value):
    """No name leads upwards."""
    reading = with_keys(f'{key}: "{value}"')
    assert [(f.severity, f.where) for f in reading.findings] == [("error", key)]
    assert "leads out of a directory" in reading.findings[0].message


@pytest.mark.parametrize("value", ["a/b", "..a", "1.2..3", "/abs", "with space", "日本"])
def test_names_may_look_odd(value):
    """What leads nowhere is W&B's business."""
    assert with_keys(f'name: "{value}"').spec.name == value


@pytest.mark.parametrize("key", ["program", "name", "project", "entity"])
@pytest.mark.parametrize("value", ["a\\nb", "\\e[31m", "\\x7f", "\\t"])
def test_text_with_control_characters_is_a_warning(key, value):
    """Escapes and line breaks belong into no name; W&B takes them, so they are kept."""
    text = f'program: t.py\nmethod: random\nparameters: {{a: {{value: 1}}}}\n{key}: "{value}"'
    reading = read(text.removeprefix("program: t.py\n") if key == "program" else text)
    (finding,) = reading.findings
    assert (finding.severity, finding.where) == ("warning", key)
    assert finding.message.endswith("has control characters")
    assert getattr(reading.spec, key) == yaml.safe_load(f'"{value}"')


def test_a_description_may_have_lines():
    """But no escapes."""
    assert with_keys('description: "a\\n\\tb"').findings == ()
    assert len(with_keys('description: "a\\eb"').warnings) == 1


def test_duplicates_of_a_finding_are_one():
    """A value may be looked at twice."""
    at = cursor("x")
    assert (at.number(), at.number()) == (None, None)
    assert len(messages(at)) == 1
