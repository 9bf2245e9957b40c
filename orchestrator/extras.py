"""Libraries that only extras install, asked for here: what is missing becomes one sentence that says what to install."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping

from orchestrator.errors import MissingExtraError

EXTRAS: Mapping[str, str] = {
    "optuna": "optuna",
    "cmaes": "optuna",
    "torch": "optuna",
    "pandas": "export",
    "pyarrow": "export",
    "ax": "ax",
    "tensorboard": "board",
    "apprise": "notify",
}
"""By library, the extra that installs it; `storage` installs pyarrow as well."""


def lacking(library: str, extra: str | None = None) -> str | None:
    """Return what is to be said where a library is missing, to follow the name of what needs it; None where it is there.

    Args:
        library: The library.
        extra: What installs it; None for the usual one.
    """
    if importlib.util.find_spec(library) is not None:
        return None
    if vars(sys.modules["orchestrator"])["_tool"] is not None:  # this Python has the client alone
        return f"needs {library}: `pip install {library}` in {sys.executable}"
    return f"needs {library}: install sweep-orchestrator[{extra or EXTRAS[library]}]"


def need(library: str, what: str, extra: str | None = None) -> None:
    """Make sure that a library is there before it is imported.

    Raises:
        MissingExtraError: It is not; the message begins with `what`, which needs it.
    """
    if said := lacking(library, extra):
        raise MissingExtraError(f"{what} {said}", name=library)
