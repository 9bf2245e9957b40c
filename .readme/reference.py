"""Writes the command line reference into README.md, between its markers, from the commands themselves."""

import inspect
import sys
from enum import Enum
from pathlib import Path
from typing import Any

from orchestrator.cli.main import COMMANDS, _load

BEGIN, END = "<!-- reference: begin (make readme) -->\n", "<!-- reference: end -->\n"
NAMES = {int: "N", float: "X", Path: "PATH"}
"""How a value is called, by its type."""


def reference() -> str:
    """Return the reference as Markdown: what each command does, its arguments and options."""
    return "\n".join(section(name, _load(name)) for name in COMMANDS)


def section(name: str, found: Any) -> str:
    """Return one command's part."""
    arguments = [p for p in found.params if p.param_type_name == "argument"]
    options = [p for p in found.params if p.param_type_name == "option" and "--help" not in p.opts and not p.hidden]
    usage = " ".join([f"sweep {name}", *[shown(argument) for argument in arguments]])
    lines = [f"**`{usage}`**  ", " ".join(inspect.cleandoc(found.help).split()), ""]
    lines += [f"- `{', '.join(option.opts)}{value(option)}`: {option.help}" for option in options]
    return "\n".join(lines) + "\n"


def shown(argument: Any) -> str:
    """Return an argument as a user writes it."""
    name = (argument.metavar or argument.name or "").upper().strip("{}[]")
    return name if argument.required else f"[{name}]"


def value(option: Any) -> str:
    """Return the value that an option takes, with a space before; nothing for a flag."""
    kind = option.type_descriptor.annotation
    if kind is bool:
        return ""
    if issubclass(kind, Enum):
        return " " + "|".join(str(choice.value) for choice in kind)
    return f" {option.metavar or NAMES.get(kind, 'TEXT')}"


def updated(text: str) -> str:
    """Return README's text with the reference as it is now."""
    head, rest = text.split(BEGIN)
    return head + BEGIN + reference() + rest[rest.index(END) :]


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")
