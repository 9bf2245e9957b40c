"""Arguments that `absl.flags` reads: `DEFINE_...` in the script and in the project's modules."""

import ast
from dataclasses import replace

from orchestrator.arguments.model import Argument, Arguments, Kind
from orchestrator.arguments.sources import UNKNOWN, Place, Sources, keywords, literal

KINDS = {
    "string": Kind.TEXT, "integer": Kind.INTEGER, "float": Kind.NUMBER, "bool": Kind.BOOLEAN, "boolean": Kind.BOOLEAN,
    "enum": Kind.TEXT,
}  # fmt: skip
BUILT_IN = (
    "v", "verbosity", "logger_levels", "stderrthreshold", "showprefixforinfo", "log_dir", "logtostderr", "alsologtostderr",
    "run_with_pdb", "pdb_post_mortem", "run_with_profiling", "profile_file", "use_cprofile_for_profiling",
    "only_check_args", "help", "helpfull", "helpshort", "helpxml", "pdb", "flagfile", "undefok",
)  # fmt: skip


def read(sources: Sources) -> Arguments | None:
    """Return the flags; None where some may be defined that are not seen."""
    origins = [
        (place, place.module.origin(place.node.func)) for place in sources.places if isinstance(place.node, ast.Call)
    ]
    defined = [place for place, origin in origins if origin.startswith("absl.flags.DEFINE")]
    if not defined or not sources.complete or sources.changes_argv():
        return None
    given = [argument for place in defined if (argument := _flag(place)) is not None]
    if len(given) < len(defined):
        return None
    marks = sources.calls("absl.flags.mark_flag_as_required", "absl.flags.mark_flags_as_required")
    needed = {name for place in marks for name in _names(place)}
    known = tuple(replace(argument, required=True) if argument.name in needed else argument for argument in given)
    return Arguments(library="absl", known=known, others=BUILT_IN)


def _flag(place: Place) -> Argument | None:
    assert isinstance(place.node, ast.Call)
    module, more = place.module, keywords(place.node)
    args = dict(zip(("name", "default", "third"), place.node.args, strict=False)) | more
    name = literal(module, args.get("name"))
    what = module.origin(place.node.func).removeprefix("absl.flags.DEFINE_")
    if not isinstance(name, str):
        return None
    allowed = literal(module, args.get("enum_values", args.get("third"))) if what == "enum" else None
    is_bool = what in {"bool", "boolean"}
    return Argument(
        name=name,
        options=(name, f"no{name}") if is_bool else (name,),
        kind=KINDS.get(what, Kind.UNKNOWN),
        choices=tuple(allowed) if isinstance(allowed, list | tuple) else None,
        required=literal(module, more.get("required")) is True and not place.conditional,
        takes_value=not is_bool,
        default=None if (default := literal(module, args.get("default"))) is UNKNOWN else default,
    )


def _names(place: Place) -> list[str]:
    assert isinstance(place.node, ast.Call)
    named = literal(place.module, place.node.args[0] if place.node.args else None)
    if named is UNKNOWN:
        return []
    return [named] if isinstance(named, str) else list(named)
