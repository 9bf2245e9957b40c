import json
import re

import pytest

from orchestrator.reporting.page import bundle
from orchestrator.reporting.page.sections import Failure, Failures
from orchestrator.serve import shell
from tests.reporting.page.test_bundle import FUNCTION, IMPORTED, names

SCRIPTS = shell.HERE / "scripts"
LIVE_IMPORTED = re.compile(r'from "\./(\w+)\.js";$', re.MULTILINE)
SHOWN = sorted(path for path in shell.HERE.rglob("*") if path.suffix in {".js", ".ts", ".css", ".html"})


def source(name):
    return (SCRIPTS / f"{name}.js").read_text(encoding="utf-8")


def test_every_module_is_on_the_pages_after_what_it_imports():
    """No script lies beside the others without being part of the pages, and imports point one way."""
    assert sorted(path.stem for path in SCRIPTS.glob("*.js")) == sorted(shell.LIVE_MODULES)
    for place, name in enumerate(shell.LIVE_MODULES):
        assert set(LIVE_IMPORTED.findall(source(name))) <= set(shell.LIVE_MODULES[:place]), name
        assert not IMPORTED.findall(source(name).replace('"./', '"."'))


def test_the_script_has_each_name_once():
    """The modules share a scope with the report's: none of their names hides another, and no import or export is left."""
    script = shell.assets()["/page.js"].data.decode()
    modules = [*(bundle.source(name) for name in shell.OF_THE_REPORT), *map(source, shell.LIVE_MODULES)]
    declared = [name for text in modules for name in names(re.sub("(?m)^export ", "", text))]
    assert len(set(declared)) == len(declared) > 150
    assert names(script) == declared
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)


@pytest.mark.parametrize("name", shell.LIVE_MODULES)
def test_every_function_says_what_it_does(name):
    """Each function has a comment above it, which for its parameters gives their types."""
    lines = source(name).splitlines()
    bare = [
        line for above, line in zip(["", *lines], lines, strict=False) if FUNCTION.match(line) and "*/" not in above
    ]
    assert bare == []


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.name)
def test_no_line_is_longer_than_a_screen_and_no_markup_is_let_through(path):
    """At most 120 columns; no template says that a text is safe, and no script makes elements of text but the one place."""
    text = path.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if len(line) > 120] == []
    assert not re.search(r"\|\s*safe|autoescape|Markup|\bon\w+=|style=|innerHTML|insertAdjacentHTML|\beval\b", text)
    assert ("DOMParser" in text) is (path.name == "sweep.js")


def test_parts_of_the_report_escape_what_they_show():
    """What the server renders for a page has no element of a text's making; failed trials are links to their pages."""
    failure = Failure(open=True, counted="9 trials", said="<i>", trials=(3, 5), n_more=7, log="<u>", tail="<s>")
    sections = {
        "verdict": {"certainty": "<b>", "trust": [], "following": [], "commands": []},
        "plots": None,
        "failures": Failures(shown=(failure,), n_more=0),
        "spec": {"given": "<script>alert(1)</script>", "as_run": None},
        "environment": {"facts": [], "changed": "<img>", "written": "now"},
    }
    html = shell.fragment(sections, trials_at="/sweeps/a")
    assert '<a href="/sweeps/a/3">3</a>, <a href="/sweeps/a/5">5</a> and 7 more.\nThe log' in html
    assert re.search(r"<[ius]>", html) is None
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert json.dumps(html)
