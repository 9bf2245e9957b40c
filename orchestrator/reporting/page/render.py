"""Writes the page: sections and data into the templates, one script and one style sheet that its policy allows."""

import base64
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from orchestrator import confined
from orchestrator.layout import SweepDir
from orchestrator.printable import clean
from orchestrator.reporting.advice import advice_for
from orchestrator.reporting.facts import read_facts
from orchestrator.reporting.importance import importances
from orchestrator.reporting.page.bundle import script
from orchestrator.reporting.page.payload import payload
from orchestrator.reporting.page.sections import Content, sections
from orchestrator.reporting.usage import usage_of

HERE = Path(__file__).parent


def write_report(sweep_dir: SweepDir, path: Path | None = None) -> Path:
    """Write a sweep's report and return its path; at any time, also while the sweep runs.

    Raises:
        LedgerError: The ledger cannot be read.
        OSError: The file cannot be written.
    """
    facts = read_facts(sweep_dir)
    found, usage = importances(facts), usage_of(facts)
    content = Content(facts=facts, importances=found, usage=usage, advice=advice_for(facts, found, usage))
    text = page(content)
    if path is None:
        confined.replace(sweep_dir.report_path, text)
    elif path.exists() and not path.is_file():  # such as /dev/stdout
        path.write_text(text, encoding="utf-8")
    else:
        confined.replace(path.resolve(), text)
    return path or sweep_dir.report_path


def page(content: Content) -> str:
    """Return the page's HTML."""
    style, code = (HERE / "page.css").read_text(encoding="utf-8"), script()
    data = as_json(payload(content.facts, content.importances, content.usage))
    return (
        environment()
        .get_template("page.html")
        .render(
            **sections(content),
            policy=policy(script=code, style=style),
            # The only texts that are not escaped: two are files of this package, the third is `as_json`'s.
            style=Markup(style),  # noqa: S704
            script=Markup(code),  # noqa: S704
            data=Markup(data),  # noqa: S704
        )
    )


@functools.cache
def environment(*before: Path) -> Environment:
    """Return the templates' environment: all that they show is escaped, and what they do not know is an error.

    One for the whole process: it keeps what it compiled, and all threads may use it.

    Args:
        before: Folders of templates that are looked in first.
    """
    return Environment(
        loader=FileSystemLoader([*before, HERE / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def policy(*, script: str, style: str) -> str:
    """Return the page's content security policy: one script and one style sheet by their hashes, and nothing else."""
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def as_json(data: object) -> str:
    """Return JSON that cannot end the script element that holds it."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _shown(value: Any) -> Any:
    """What a template shows: no control characters; what is markup already has been through here."""
    return value if isinstance(value, Markup) else clean(str(value))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
