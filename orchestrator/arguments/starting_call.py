"""Whether a script starts a sweep whenever it runs, by its source: as a sweep's program it would do so without end."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.trial.contract.nested_sweep import CALLS

LONGEST = 1_000_000
"""Bytes of a source that are looked at."""


def starting_call(source: str | bytes) -> tuple[str, int] | None:
    """Return the call that starts a sweep whenever the script runs, and its line; None when there is none to be seen.

    Only what runs in any case counts: calls at the top of the file, or under ``if __name__ == "__main__":``. A call under another
    condition may be for those who run the script by itself.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    aliases = _aliases(tree)
    for statement in _always(tree.body):
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and (name := _called(node.func, aliases)) is not None:
                return f"wandb.{name}", node.lineno
    return None


def starting_call_of(path: Path) -> tuple[str, int] | None:
    """Return what `starting_call` finds in a file; None for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return starting_call(file.read(LONGEST))
    except OSError:
        return None


def _always(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run whenever the script does."""
    for statement in body:
        if isinstance(statement, (ast.With, ast.Try)) or (isinstance(statement, ast.If) and _is_main(statement.test)):
            yield from _always(statement.body)
        elif isinstance(statement, (ast.Expr, ast.Assign, ast.AnnAssign)):
            yield statement


def _is_main(test: ast.expr) -> bool:
    return ast.unparse(test).replace('"', "'") in {"__name__ == '__main__'", "'__main__' == __name__"}


def _aliases(tree: ast.Module) -> dict[str, str]:
    """What wandb and its calls are called: {local name: "" for the module, else the call}."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {a.asname or a.name: "" for a in node.names if a.name in {"wandb", "orchestrator.wandb"}}
        elif isinstance(node, ast.ImportFrom) and node.module == "orchestrator":
            found |= {a.asname or a.name: "" for a in node.names if a.name == "wandb"}
            found |= {a.asname or a.name: a.name for a in node.names if a.name in CALLS}
        elif isinstance(node, ast.ImportFrom) and node.module in {"wandb", "orchestrator.wandb"}:
            found |= {a.asname or a.name: a.name for a in node.names if a.name in CALLS}
    return found


def _called(function: ast.expr, aliases: dict[str, str]) -> str | None:
    if isinstance(function, ast.Name):
        return aliases.get(function.id) or None
    if isinstance(function, ast.Attribute) and function.attr in CALLS:
        base = ast.unparse(function.value)
        return function.attr if aliases.get(base) == "" else None
    return None
