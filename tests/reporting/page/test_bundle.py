import re

import pytest

from orchestrator.reporting.page import bundle

IMPORTED = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";$', re.MULTILINE)
NAME = re.compile(r"^(?:async )?(?:const|let|function|class) (?P<name>[\w$]+)", re.MULTILINE)
FUNCTION = re.compile(r"^(?:export )?(?:async )?function |^  (?!if|for|while|switch|constructor)\w+\([^;]*\) \{$")
SHOWN = sorted(path for path in bundle.SCRIPTS.parent.rglob("*") if path.suffix in {".js", ".ts", ".css", ".html"})


def names(text):
    return [match["name"] for match in NAME.finditer(text)]


def test_every_module_is_on_the_page():
    """No script lies beside the others without being part of the page."""
    assert sorted(path.stem for path in bundle.SCRIPTS.glob("*.js")) == sorted(bundle.MODULES)


@pytest.mark.parametrize("name", bundle.MODULES)
def test_a_module_comes_after_what_it_imports(name):
    """Imports point one way, and all of them to modules of the page."""
    text = bundle.source(name)
    imported = IMPORTED.findall(text)
    assert len(imported) == text.count("\nimport ") + text.startswith("import ")
    assert set(imported) <= set(bundle.MODULES[: bundle.MODULES.index(name)])


def test_the_script_has_what_the_modules_have_and_each_name_once():
    """The modules share a scope on the page: none of their names hides another, and none is lost on the way."""
    script = bundle.script()
    declared = [name for module in bundle.MODULES for name in names(re.sub("(?m)^export ", "", bundle.source(module)))]
    assert len(set(declared)) == len(declared) > 100
    assert names(script) == declared
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)
    assert not re.search(r"^ *\* @", script, re.MULTILINE)


def test_the_script_cannot_end_its_element():
    """Nothing in it is taken for the end of a script, or for the beginning of a comment, by a reader of HTML."""
    assert not re.search(r"</script|<!--|<script", bundle.script(), re.IGNORECASE)


@pytest.mark.parametrize("name", bundle.MODULES)
def test_every_function_says_what_it_does(name):
    """Each function and method has a comment above it, which for its parameters gives their types."""
    lines = bundle.source(name).splitlines()
    bare = [
        line for above, line in zip(["", *lines], lines, strict=False) if FUNCTION.match(line) and "*/" not in above
    ]
    assert bare == []


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.name)
def test_no_line_is_longer_than_a_screen(path):
    """Scripts, templates and styles have at most 120 columns."""
    assert [line for line in path.read_text(encoding="utf-8").splitlines() if len(line) > 120] == []


def test_the_formatter_may_wrap_an_import(monkeypatch):
    """An import over several lines is left out whole; comments for the checker go, casts in expressions stay."""
    text = (
        'import {\n  a,\n  b,\n} from "./x.js";\n\n/**\n * Says.\n *\n * @param {number} v\n */\nexport function f(v) {\n'
        "  /** @type {number} */ (v)?.toFixed();\n}\n/** @type {string} */\nexport const g = 1;\n"
    )
    monkeypatch.setattr(bundle, "MODULES", ("x",))
    monkeypatch.setattr(bundle, "source", lambda _: text)
    assert bundle.script() == (
        '"use strict";\n\nfunction f(v) {\n  /** @type {number} */ (v)?.toFixed();\n}\nconst g = 1;\n'
    )
