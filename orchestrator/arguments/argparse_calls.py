"""Arguments that `argparse` reads: one parser, whose `add_argument` calls are literal."""

import ast
from collections.abc import Mapping
from typing import Any

from orchestrator.arguments.model import Argument, Arguments, Kind
from orchestrator.arguments.sources import UNKNOWN, Place, Sources, keywords, literal

PARSER = "argparse.ArgumentParser"
KINDS = {"int": Kind.INTEGER, "float": Kind.NUMBER, "str": Kind.TEXT, "bool": Kind.ANY_TEXT_IS_TRUE}
FLAGS = {"store_true", "store_false", "store_const", "append_const", "count"}
UNREADABLE = ("parse_known_args", "parse_known_intermixed_args", "add_subparsers", "register", "add_parser")
HARMLESS = {"print", "vars", "type", "isinstance", "str", "repr"}


def read(sources: Sources) -> Arguments | None:
    """Return what the script's one parser takes; None where that is not sure."""
    parsers = sources.calls(PARSER)
    if (
        len(parsers) != 1
        or sources.methods(*UNREADABLE)
        or sources.changes_argv()
        or not _parses_the_command_line(sources)
    ):
        return None
    made = keywords(parsers[0].node)  # type: ignore[arg-type]
    if {"parents", "fromfile_prefix_chars", "prefix_chars", "conflict_handler", "exit_on_error", ""} & set(made):
        return None
    if _is_given_away(sources) or any(
        module.origin(base) == PARSER for module, made_class in sources.classes.values() for base in made_class.bases
    ):
        return None
    calls = sources.methods("add_argument")
    arguments = [_argument(sources, call) for call in calls]
    if None in arguments:
        return None
    known = tuple(a for a in arguments if a is not None)
    return Arguments(
        library="argparse", known=known, abbreviates=literal(parsers[0].module, made.get("allow_abbrev")) is not False
    )


def visible(sources: Sources) -> tuple[Argument, ...]:
    """Return the arguments whose definition can be read, though there may be others."""
    found = [_argument(sources, call) for call in sources.methods("add_argument")]
    return tuple(argument for argument in found if argument is not None)


def _parses_the_command_line(sources: Sources) -> bool:
    calls = sources.methods("parse_args", "parse_intermixed_args")
    return bool(calls) and all(_is_argv(place) for place in calls)


def _is_argv(place: Place) -> bool:
    """Return whether `parse_args` reads the words that the script was given."""
    assert isinstance(place.node, ast.Call)
    given = [*place.node.args, *(keyword.value for keyword in place.node.keywords)]
    if not given:
        return True
    first = given[0]
    if len(given) > 1:
        return False
    return (isinstance(first, ast.Constant) and first.value is None) or ast.unparse(first) == "sys.argv[1:]"


def _is_given_away(sources: Sources) -> bool:
    """Return whether the parser is handed to code that is not the project's: it may add what is not seen."""
    names = {"parser"}
    for place in sources.places:
        node = place.node
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and place.module.origin(node.value.func) == PARSER
        ):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    known = sources.functions
    for place in sources.places:
        node = place.node
        if not isinstance(node, ast.Call):
            continue
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        called = place.module.origin(node.func).rpartition(".")[2] or (
            node.func.attr if isinstance(node.func, ast.Attribute) else ""
        )
        if (
            any(isinstance(arg, ast.Name) and arg.id in names for arg in given)
            and called not in known
            and called not in HARMLESS
        ):
            return True
    return False


def _argument(sources: Sources, place: Place) -> Argument | None:
    """Return one argument; None where its names are not literal."""
    call, module = place.node, place.module
    assert isinstance(call, ast.Call)
    names = [literal(module, arg) for arg in call.args]
    if not names or not all(isinstance(name, str) for name in names):
        return None
    more = keywords(call)
    options = tuple(name[2:] for name in names if name.startswith("--"))
    is_positional = not names[0].startswith("-")
    dest = literal(module, more.get("dest"))
    name = dest if isinstance(dest, str) else (options[0] if options else names[0].lstrip("-"))
    if "" in more:
        return Argument(name=name, options=options)
    action = literal(module, more.get("action"))
    if module.origin(more.get("action")).endswith("BooleanOptionalAction"):
        return Argument(name=name, options=(*options, *(f"no-{option}" for option in options)), kind=Kind.FLAG)
    nargs = literal(module, more.get("nargs"))
    is_dead = bool(place.functions) and not any(sources.mentions(function) for function in place.functions)
    required = (
        (is_positional and nargs not in ("?", "*")) if is_positional else literal(module, more.get("required")) is True
    )
    kind = _kind(place, more, action)
    return Argument(
        name=name,
        options=options,
        kind=kind,
        choices=_choices(place, more, kind),
        required=required and not place.conditional and not is_dead and action not in {"help", "version"},
        several="nargs" in more and nargs != "?",
        takes_value="nargs" not in more and ("action" not in more or action in {"store", "append"}),
        default=_or_none(literal(module, more.get("default"))),
        help=_or_none(literal(module, more.get("help"))),
    )


def _kind(place: Place, more: Mapping[str, ast.expr], action: object) -> Kind:
    if isinstance(action, str) and action in FLAGS | {"help", "version"}:
        return Kind.FLAG
    if "action" in more and action not in ("store", "append"):
        return Kind.UNKNOWN
    return KINDS.get(place.module.origin(more["type"]), Kind.UNKNOWN) if "type" in more else Kind.TEXT


def _choices(place: Place, more: Mapping[str, ast.expr], kind: Kind) -> tuple[str, ...] | None:
    given = literal(place.module, more.get("choices"))
    if not isinstance(given, list | tuple | set | dict) or kind not in {Kind.TEXT, Kind.INTEGER, Kind.NUMBER}:
        return None
    return tuple(str(choice) for choice in given)


def _or_none(value: Any) -> Any:
    return None if value is UNKNOWN else value
