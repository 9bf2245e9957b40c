"""Arguments that `LightningCLI` reads: those of the model's and the data module's constructors, behind a subcommand."""

import ast

from orchestrator.arguments.functions import choices_of, kind_of, parameters
from orchestrator.arguments.model import Argument, Arguments, Kind
from orchestrator.arguments.sources import UNKNOWN, Module, Sources, keywords, literal

ORIGINS = (
    "lightning.pytorch.cli.LightningCLI",
    "pytorch_lightning.cli.LightningCLI",
    "pytorch_lightning.utilities.cli.LightningCLI",
)
OWN = (
    "trainer.", "trainer", "optimizer.", "optimizer", "lr_scheduler.", "lr_scheduler", "seed_everything", "config",
    "ckpt_path",
)  # fmt: skip
SUBCOMMANDS = ("fit", "validate", "test", "predict")


def read(sources: Sources) -> Arguments | None:
    """Return what the script's CLI takes; None for a class of the project's own that adds arguments."""
    calls = sources.calls(*ORIGINS)
    if len(calls) != 1 or sources.methods("add_arguments_to_parser", "add_argument", "add_subclass_arguments"):
        return None
    assert isinstance(calls[0].node, ast.Call)
    module, more = calls[0].module, keywords(calls[0].node)
    if {"", "args", "parser_kwargs", "subclass_mode_model", "subclass_mode_data"} & set(more):
        return None
    given = dict(zip(("model_class", "datamodule_class"), calls[0].node.args, strict=False)) | more
    known: list[Argument] = []
    others = list(OWN)
    for key, prefix in (("model_class", "model"), ("datamodule_class", "data")):
        found = _constructor(sources, module, given.get(key))
        if found is None:
            others += [prefix, f"{prefix}."]
        else:
            known += [
                _argument(sources, found[0], prefix, arg, default) for arg, default in list(parameters(found[1]))[1:]
            ]
    runs = literal(module, more.get("run")) is not False
    return Arguments(
        library="LightningCLI", known=tuple(known), others=tuple(others), needs_word=SUBCOMMANDS if runs else ()
    )


def _argument(sources: Sources, module: Module, prefix: str, arg: ast.arg, default: ast.expr | None) -> Argument:
    kind = kind_of(module, arg.annotation)
    return Argument(
        name=f"{prefix}.{arg.arg}",
        options=(f"{prefix}.{arg.arg}",),
        kind=Kind.UNKNOWN if kind is Kind.TEXT else kind,
        choices=choices_of(sources, module, arg.annotation, by_name=True),
        required=default is None,
        default=None if (known := literal(module, default)) is UNKNOWN else known,
    )


def _constructor(sources: Sources, module: Module, node: ast.expr | None) -> tuple[Module, ast.FunctionDef] | None:
    """Return a class's constructor; None for one whose arguments are not all its own."""
    found = sources.classes.get(module.origin(node).rpartition(".")[2])
    if found is None:
        return None
    inits = [n for n in found[1].body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    if len(inits) != 1 or inits[0].args.vararg or inits[0].args.kwarg:
        return None
    return found[0], inits[0]
