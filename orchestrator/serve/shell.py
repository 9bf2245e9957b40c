"""The pages without their data: HTML, one script and one style sheet, the same for every sweep and every reader."""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

from orchestrator.reporting.page.bundle import MODULES, script
from orchestrator.reporting.page.render import HERE as REPORT
from orchestrator.reporting.page.render import environment

HERE = Path(__file__).parent

OF_THE_REPORT = tuple(name for name in MODULES if name != "start")
"""Modules that the report's page is made of, but for its beginning: here the data comes later."""

LIVE_MODULES = (
    "said",
    "token",
    "stream",
    "live",
    "sparkline",
    "chosen",
    "controls",
    "headline",
    "lines",
    "sweep",
    "trial",
    "compare",
    "index",
    "pages",
)
"""The modules of the live pages, behind those: each after what it imports."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The pages' content security policy: what this server sends, and nothing else."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent; `tag` changes with what is in it."""

    kind: str
    data: bytes
    tag: str


@cache
def assets() -> dict[str, Asset]:
    """Return what the pages load, by path."""
    more = [HERE / "scripts" / f"{name}.js" for name in LIVE_MODULES]
    code = script(OF_THE_REPORT, more=more)
    style = "".join(path.read_text(encoding="utf-8") for path in (REPORT / "page.css", HERE / "live.css"))
    return {
        "/page.js": _asset("text/javascript; charset=utf-8", code),
        "/page.css": _asset("text/css; charset=utf-8", style),
    }


@cache
def page(name: str) -> Asset:
    """Return a page's HTML; `name` is a template's, without ``live-``."""
    tags = {path[1:].replace(".", "_"): asset.tag for path, asset in assets().items()}
    return _asset(
        "text/html; charset=utf-8", _templates().get_template(f"live-{name}.html").render(page=name, tags=tags)
    )


def fragment(sections: dict[str, Any], *, trials_at: str) -> str:
    """Return the parts of a sweep's page that the report has as well, as HTML: all text in it is escaped.

    Args:
        sections: What the report shows.
        trials_at: The path that the pages of the sweep's trials lie at.
    """
    return str(_templates().get_template("live-sections.html").render(**sections, trials_at=trials_at))


@cache
def _templates() -> Environment:
    return environment(HERE / "templates")


def _asset(kind: str, text: str) -> Asset:
    data = text.encode()
    return Asset(kind, data, base64.urlsafe_b64encode(hashlib.sha256(data).digest()[:12]).decode())
