import pytest

from orchestrator.errors import SweepError
from orchestrator.spec import SpecError, load_text
from orchestrator.spec.findings import MAX_SHOWN, Finding, Findings, Mark, Severity, near_miss, printable, render


def finding(message, line=1, column=1, **more):
    return Finding(severity=Severity.ERROR, where="", message=message, mark=Mark(line, column), **more)


def shown(line, column, *, width=108):
    """Return the quoted line and the caret's line of a finding."""
    return render("s", [finding("x", 1, column)], [line], width=width).splitlines()[1:3]


def test_findings_are_sorted_and_told_once():
    """By line and column; those without a place first."""
    findings = Findings(path="s")
    for one in (finding("b", 2), finding("a", 1, 9), finding("a", 1, 2), finding("b", 2)):
        findings.add(one)
    findings.add(Finding(severity=Severity.ERROR, where="x", message="nowhere"))
    assert [(f.message, f.mark and f.mark.column) for f in findings.sorted()] == [
        ("nowhere", None),
        ("a", 2),
        ("a", 9),
        ("b", 1),
    ]


def test_a_block_has_place_line_caret_hint_and_fix():
    """The whole form."""
    text = render("s.yaml", [finding("is wrong", 2, 4, hint="do it right", fix="b: 2")], ["a: 1", "b: x"])
    assert text == ("s.yaml:2:4: error: is wrong\n    2 | b: x\n      |    ^\n      = do it right\n      = write: b: 2")


@pytest.mark.parametrize(
    ("line", "column"), [("a: {b: ü, c: x}", 14), ("日本: x", 5), ("a: 'e\u0301' x", 9), ("\tx", 2), ("🎉: x", 4)]
)
def test_the_caret_stands_below_its_column(line, column):
    """Also after wide, combining and escaped characters."""
    quoted, caret = shown(line, column)
    cells = {"日": 2, "本": 2, "🎉": 2, "\u0301": 0, "\t": 2}
    before = sum(cells.get(c, 1) for c in line[: column - 1])
    assert line[column - 1] == "x"
    assert caret == "      | " + " " * before + "^"
    assert printable(line) in quoted


@pytest.mark.parametrize("column", [1, 60, 150, 299, 300])
def test_a_long_line_is_shown_around_the_column(column):
    """Within the width, and the caret below the right character."""
    line = "." * (column - 1) + "X" + "." * (300 - column)
    quoted, caret = shown(line, column, width=80)
    assert max(len(quoted), len(caret)) <= 80
    assert quoted[caret.index("^")] == "X"


def test_hints_are_wrapped():
    """To the width, between words."""
    text = render("s", [finding("x", 1, 1, hint="word " * 40)], [], width=60)
    assert max(map(len, text.splitlines())) <= 60
    assert text.count("word") == 40


def test_a_place_beyond_the_text_has_no_line():
    """As when the text is a dict."""
    assert render("s", [finding("x", 9)], ["a"]) == "s:9:1: error: x"


def test_thousands_of_findings_are_cut():
    """With how many there are."""
    findings = [finding(str(i), i + 1) for i in range(12_345)]
    text = render("s", findings)
    assert text.count("error") == MAX_SHOWN
    assert text.endswith(f"... and {12_345 - MAX_SHOWN:,} more")


def test_nothing_can_drive_the_terminal():
    """Escapes, bells and bidirectional overrides of a spec are shown, not sent."""
    text = 'program: "\\e[2J\\a"\nmethod: "\\u202erandom"\n"\\e]0;x\\a": 1\nparameters: {a: {value: 1}}\n'
    reading = load_text(text, path="\x1b[31ms.yaml")
    out = reading.text()
    assert reading.spec is None
    assert len(reading.findings) == 3
    assert all(c.isprintable() or c == "\n" for c in out)
    assert r"\x1b[31ms.yaml:1:10: warning: program: '\x1b[2J\x07' has control characters" in out
    assert all(c.isprintable() for f in reading.findings for c in f"{f.where}{f.message}{f.hint}{f.fix}")


def test_roles_are_painted():
    """A command line gives each piece its colour."""
    text = render("s", [finding("x", 1, 1, fix="y")], ["x"], paint=lambda role, text: f"<{role}:{text}>")
    assert text.splitlines()[0] == "<place:s:1:1>: <error:error>: x"
    assert "<error:^>" in text
    assert "<fix:y>" in text


@pytest.mark.parametrize(
    ("word", "meant"),
    [("Method", "method"), ("parameter", "parameters"), ("metod", "method"), ("zzz", None), ("", None)],
)
def test_near_misses(word, meant):
    """Other spellings and slips, but not any word."""
    assert near_miss(word, ["method", "metric", "parameters"]) == meant


def test_the_error_carries_the_findings():
    """And is one of the product's own errors, with exit code 2."""
    reading = load_text("method: gird\nspeed: 3", path="s.yaml")
    with pytest.raises(SpecError, match=r"^s\.yaml cannot be run\n\ns\.yaml:1:1: error: has no `parameters`") as caught:
        reading.require()
    assert isinstance(caught.value, SweepError)
    assert caught.value.exit_code == 2
    assert caught.value.findings == reading.findings
