"""Arguments that `click` reads: the options of a script's one command."""

import ast

from orchestrator.arguments.model import Argument, Arguments, Kind
from orchestrator.arguments.sources import UNKNOWN, Module, Sources, keywords, literal

HARMLESS = {"click.pass_context", "click.version_option", "click.help_option", "click.pass_obj"}
KINDS = {
    "int": Kind.INTEGER, "click.INT": Kind.INTEGER, "click.IntRange": Kind.INTEGER, "float": Kind.NUMBER,
    "click.FLOAT": Kind.NUMBER, "click.FloatRange": Kind.NUMBER, "str": Kind.TEXT, "click.STRING": Kind.TEXT,
    "bool": Kind.BOOLEAN, "click.BOOL": Kind.BOOLEAN,
}  # fmt: skip


def read(sources: Sources) -> Arguments | None:
    """Return what the script's one command takes; None where there are several, or decorators of others."""
    commands = [
        (module, function)
        for module, function in sources.functions.values()
        if any(_origin(module, decorator) == "click.command" for decorator in function.decorator_list)
    ]
    if len(commands) != 1 or sources.calls("click.group", "click.Group") or sources.changes_argv():
        return None
    if any(place.module.origin(place.node) == "click.group" for place in sources.places):
        return None
    module, function = commands[0]
    if any(p.node.args or p.node.keywords for p in sources.calls(function.name) if isinstance(p.node, ast.Call)):
        return None
    known: list[Argument] = []
    for decorator in function.decorator_list:
        origin = _origin(module, decorator)
        if origin == "click.command":
            if isinstance(decorator, ast.Call) and {"cls", "context_settings", ""} & set(keywords(decorator)):
                return None
        elif origin in {"click.option", "click.argument"} and isinstance(decorator, ast.Call):
            argument = _argument(module, decorator, is_option=origin == "click.option")
            if argument is None:
                return None
            known.append(argument)
        elif origin not in HARMLESS:
            return None
    return Arguments(library="click", known=tuple(known))


def _origin(module: Module, decorator: ast.expr) -> str:
    return module.origin(decorator.func if isinstance(decorator, ast.Call) else decorator)


def _argument(module: Module, call: ast.Call, *, is_option: bool) -> Argument | None:
    names = [literal(module, arg) for arg in call.args]
    if not names or not all(isinstance(name, str) for name in names):
        return None
    more = keywords(call)
    spelled = [part.strip() for name in names for part in name.split("/")]
    options = tuple(part.removeprefix("--") for part in spelled if part.startswith("--"))
    default = literal(module, more.get("default"))
    is_flag = (
        literal(module, more.get("is_flag")) is True
        or any("/" in name for name in names)
        or {"flag_value", "count"} & set(more)
    )
    kind = Kind.FLAG if is_flag else _kind(module, more.get("type"), default)
    return Argument(
        name=next((part for part in spelled if not part.startswith("-")), options[0] if options else spelled[0]),
        options=options if is_option else (),
        kind=Kind.UNKNOWN if {"multiple", "nargs", "callback", "cls", ""} & set(more) else kind,
        choices=_choices(module, more.get("type")),
        required=_is_required(module, more, default, is_option=is_option),
        takes_value=is_option and not is_flag,
        default=None if default is UNKNOWN else default,
    )


def _kind(module: Module, given: ast.expr | None, default: object) -> Kind:
    if given is not None:
        return KINDS.get(module.origin(given.func if isinstance(given, ast.Call) else given), Kind.UNKNOWN)
    if isinstance(default, bool):
        return Kind.BOOLEAN
    return {int: Kind.INTEGER, float: Kind.NUMBER}.get(type(default), Kind.TEXT)


def _choices(module: Module, given: ast.expr | None) -> tuple[str, ...] | None:
    if (
        not isinstance(given, ast.Call)
        or module.origin(given.func) != "click.Choice"
        or len(given.args) != 1
        or given.keywords
    ):
        return None
    allowed = literal(module, given.args[0])
    return tuple(map(str, allowed)) if isinstance(allowed, list | tuple) else None


def _is_required(module: Module, more: dict[str, ast.expr], default: object, *, is_option: bool) -> bool:
    if {"envvar", "prompt", ""} & set(more):
        return False
    if is_option:
        return literal(module, more.get("required")) is True and "default" not in more
    optional = literal(module, more.get("required")) is False or literal(module, more.get("nargs")) == -1
    return not optional and "default" not in more and default is UNKNOWN
