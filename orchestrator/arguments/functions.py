"""Arguments that follow from a function's parameters or a dataclass's fields: typer, fire, tyro and their like."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.arguments.model import Argument, Arguments, Kind
from orchestrator.arguments.sources import UNKNOWN, Module, Sources, keywords, literal

KINDS = {"int": Kind.INTEGER, "float": Kind.NUMBER, "str": Kind.TEXT, "bool": Kind.BOOLEAN}
DATACLASSES = {"dataclasses.dataclass", "pydantic.dataclasses.dataclass"}
ENUMS = {"enum.Enum", "enum.IntEnum", "enum.StrEnum"}
LISTS = {"list", "typing.List"}
WRAPPERS = {"typing.Optional", "typing.Annotated"}


def kind_of(module: Module, annotation: ast.expr | None) -> Kind:
    """Return what an annotation asks for; ``X | None`` and ``Optional[X]`` are X."""
    return KINDS.get(module.origin(_bare(module, annotation)), Kind.UNKNOWN)


def choices_of(
    sources: Sources, module: Module, annotation: ast.expr | None, *, by_name: bool
) -> tuple[str, ...] | None:
    """Return the texts that a ``Literal`` or an enumeration of the project's allows; None for anything else.

    Args:
        sources: Where the enumeration may stand.
        module: Where the annotation stands.
        annotation: As `kind_of`.
        by_name: Whether the library takes the name of an enumeration's member; otherwise its value.
    """
    bare = _bare(module, annotation)
    if isinstance(bare, ast.Subscript) and module.origin(bare.value).rpartition(".")[2] == "Literal":
        given = [
            literal(module, node) for node in (bare.slice.elts if isinstance(bare.slice, ast.Tuple) else [bare.slice])
        ]
        return None if UNKNOWN in given else tuple(map(str, given))
    found = sources.classes.get(module.origin(bare).rpartition(".")[2])
    if found is None or not {found[0].origin(base) for base in found[1].bases} & ENUMS:
        return None
    members = {
        node.targets[0].id: literal(found[0], node.value)
        for node in found[1].body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    if by_name:
        return tuple(members)
    return None if UNKNOWN in members.values() else tuple(map(str, members.values()))


def _bare(module: Module, annotation: ast.expr | None) -> ast.expr | None:
    """The X of ``"X"``, ``X | None``, ``Optional[X]`` and ``Annotated[X, ...]``."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return None
    if (
        isinstance(annotation, ast.BinOp)
        and isinstance(annotation.right, ast.Constant)
        and annotation.right.value is None
    ):
        return _bare(module, annotation.left)
    if isinstance(annotation, ast.Subscript) and module.origin(annotation.value) in WRAPPERS:
        return _bare(module, annotation.slice.elts[0] if isinstance(annotation.slice, ast.Tuple) else annotation.slice)
    return annotation


def parameters(function: ast.FunctionDef) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """Yield a function's parameters with their defaults."""
    args = function.args
    positional = [*args.posonlyargs, *args.args]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(args.defaults))
    yield from zip(positional, [*missing, *args.defaults], strict=True)
    yield from zip(args.kwonlyargs, args.kw_defaults, strict=True)


def read_typer(sources: Sources) -> Arguments | None:
    """Return what a typer app of one command takes."""
    if sources.changes_argv() or sources.methods("callback", "add_typer"):
        return None
    commands = [
        (module, function)
        for module, function in sources.functions.values()
        if any(_is_command(decorator) for decorator in function.decorator_list)
    ]
    for place in sources.calls("typer.run"):
        assert isinstance(place.node, ast.Call)
        target = place.node.args[0] if place.node.args else None
        found = sources.functions.get(target.id) if isinstance(target, ast.Name) else None
        commands += [found] if found else []
    if len(commands) != 1 or commands[0][1].args.vararg or commands[0][1].args.kwarg:
        return None
    module, function = commands[0]
    known = [_typer_argument(sources, module, arg, default) for arg, default in parameters(function)]
    return Arguments(library="typer", known=tuple(a for a in known if a is not None))


def _is_command(decorator: ast.expr) -> bool:
    return (
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr == "command"
    )


def _typer_argument(sources: Sources, module: Module, arg: ast.arg, default: ast.expr | None) -> Argument | None:
    described = next((call for call in (default, *_annotated(arg)) if _is_typer(module, call)), None)
    if module.origin(arg.annotation) == "typer.Context":
        return None
    kind = kind_of(module, arg.annotation)
    choices = choices_of(sources, module, arg.annotation, by_name=False)
    names: list[str] = []
    is_option, required, takes_value = default is not None, default is None, True
    value = default
    if isinstance(described, ast.Call):
        is_option = module.origin(described.func) == "typer.Option"
        given = described.args[1:] if described is default else described.args
        names = [name for node in given if isinstance(name := literal(module, node), str) and name.startswith("--")]
        first = described.args[0] if described.args else keywords(described).get("default")
        without = (
            default is None
            if described is not default
            else first is None or (isinstance(first, ast.Constant) and first.value is ...)
        )
        required = without
        value = first if described is default else default
        if "case_sensitive" in keywords(described):
            choices = None
    spelled = [part.strip().removeprefix("--") for name in names for part in name.split("/")] or [
        arg.arg.replace("_", "-")
    ]
    if kind is Kind.BOOLEAN and is_option:
        kind, takes_value = Kind.FLAG, False
        spelled += [f"no-{spelled[0]}"]
    return Argument(
        name=arg.arg,
        options=tuple(spelled) if is_option else (),
        kind=kind,
        choices=choices,
        required=required,
        takes_value=takes_value,
        default=_or_none(module, value),
    )


def _or_none(module: Module, node: ast.expr | None) -> Any:
    """The value of a default that the source tells."""
    value = literal(module, node)
    return None if value is UNKNOWN or value is ... else value


def _annotated(arg: ast.arg) -> list[ast.expr]:
    node = arg.annotation
    return node.slice.elts[1:] if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple) else []


def _is_typer(module: Module, node: ast.expr | None) -> bool:
    return isinstance(node, ast.Call) and module.origin(node.func) in {"typer.Option", "typer.Argument"}


def read_fire(sources: Sources) -> Arguments | None:
    """Return what a function takes that is given to `fire.Fire`."""
    calls = sources.calls("fire.Fire")
    if len(calls) != 1 or sources.changes_argv():
        return None
    assert isinstance(calls[0].node, ast.Call)
    target = calls[0].node.args[0] if len(calls[0].node.args) == 1 and not calls[0].node.keywords else None
    found = sources.functions.get(target.id) if isinstance(target, ast.Name) else None
    if found is None or found[1].args.vararg or found[1].args.kwarg or found[1].decorator_list:
        return None
    known = tuple(
        Argument(name=arg.arg, options=(arg.arg,), required=default is None, default=_or_none(found[0], default))
        for arg, default in parameters(found[1])
    )
    return Arguments(library="fire", known=known, dashes_are_underscores=True, sure=False)


def read_dataclasses(sources: Sources) -> Arguments | None:
    """Return what the dataclasses take that a parser of dataclasses is given."""
    if sources.changes_argv():
        return None
    for library, origins in (
        ("HfArgumentParser", ("transformers.HfArgumentParser", "trl.TrlParser", "trl.HfArgumentParser")),
        ("simple_parsing", ("simple_parsing.parse",)),
        ("tyro", ("tyro.cli",)),
    ):
        calls = sources.calls(*origins)
        if len(calls) == 1:
            return _of_classes(sources, library, calls[0].module, calls[0].node)
    return None


def _of_classes(sources: Sources, library: str, module: Module, call: ast.AST) -> Arguments | None:
    assert isinstance(call, ast.Call)
    first = call.args[0] if len(call.args) == 1 and not call.keywords else None
    given = first.elts if isinstance(first, ast.Tuple | ast.List) else [first]
    functions = sources.functions
    known: list[Argument] = []
    others: tuple[str, ...] = ()
    for node in given:
        name = module.origin(node).rpartition(".")[2]
        if library == "tyro" and name in functions and not functions[name][1].args.kwarg:
            made = functions[name]
            fields = [_Field(made[0], arg.arg, arg.annotation, default) for arg, default in parameters(made[1])]
            known += [_argument(sources, library, field) for field in fields]
            continue
        found = _fields(sources, name)
        if found is None:
            others = ("",)  # of a class that is not the project's, like TrainingArguments
            continue
        known += [_argument(sources, library, field) for field in found]
    if (
        any(argument.kind is Kind.UNKNOWN and argument.choices is None for argument in known)
        and library != "HfArgumentParser"
    ):
        others = ("",)  # a nested dataclass has arguments of its own
    sure = (
        library == "HfArgumentParser"
        and not others
        and not sources.methods("parse_known_args", "parse_json_file", "parse_dict")
    )
    return Arguments(library=library, known=tuple(known), others=others, dashes_are_underscores=True, sure=sure)


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a dataclass, or a parameter of a function that stands for one."""

    module: Module
    name: str
    annotation: ast.expr | None
    value: ast.expr | None


def _fields(sources: Sources, name: str) -> list[_Field] | None:
    """Return a dataclass's fields, those of its bases first; None for a class that is not there, or is none."""
    if name not in sources.classes:
        return None
    module, made = sources.classes[name]
    decorators = [module.origin(d.func if isinstance(d, ast.Call) else d) for d in made.decorator_list]
    if not set(decorators) & DATACLASSES:
        return None
    found: list[_Field] = []
    for base in made.bases:
        inherited = _fields(sources, module.origin(base).rpartition(".")[2])
        if inherited is None:
            return None
        found += inherited
    own = [node for node in made.body if isinstance(node, ast.AnnAssign)]
    return found + [_Field(module, n.target.id, n.annotation, n.value) for n in own if isinstance(n.target, ast.Name)]


def _argument(sources: Sources, library: str, field: _Field) -> Argument:
    module, value = field.module, field.value
    default = literal(module, value)
    has_default = value is not None
    if isinstance(value, ast.Call) and module.origin(value.func).rpartition(".")[2] in {
        "field",
        "choice",
        "flag",
        "arg",
    }:
        more = keywords(value)
        has_default = bool({"default", "default_factory", ""} & set(more)) or bool(value.args)
        default = literal(module, more.get("default", value.args[0] if value.args else None))
    item = _item(module, field.annotation) if library == "HfArgumentParser" else None
    kind = kind_of(module, field.annotation if item is None else item)
    if library == "tyro" and kind is Kind.BOOLEAN and has_default:
        kind = Kind.FLAG
    return Argument(
        name=field.name,
        options=(field.name,),
        kind=kind,
        choices=choices_of(sources, module, field.annotation, by_name=library != "HfArgumentParser"),
        required=not has_default,
        several=item is not None,
        default=None if default is UNKNOWN else default,
    )


def _item(module: Module, annotation: ast.expr | None) -> ast.expr | None:
    """What the words of a list are; None for what is no list."""
    bare = _bare(module, annotation)
    return bare.slice if isinstance(bare, ast.Subscript) and module.origin(bare.value) in LISTS else None
