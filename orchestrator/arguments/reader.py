"""From a script to its arguments: the one module that names every library which reads them."""

from pathlib import Path

from orchestrator.arguments import (
    absl_flags,
    argparse_calls,
    click_options,
    functions,
    hydra_config,
    lightning_cli,
    wandb_config,
)
from orchestrator.arguments.model import Arguments
from orchestrator.arguments.sources import read

READERS = {
    "hydra.main": hydra_config.read,
    "click.command": click_options.read,
    "typer.run": functions.read_typer,
    "typer.Typer": functions.read_typer,
    "fire.Fire": functions.read_fire,
    "lightning.pytorch.cli.LightningCLI": lightning_cli.read,
    "pytorch_lightning.cli.LightningCLI": lightning_cli.read,
    "pytorch_lightning.utilities.cli.LightningCLI": lightning_cli.read,
    "transformers.HfArgumentParser": functions.read_dataclasses,
    "trl.TrlParser": functions.read_dataclasses,
    "simple_parsing.parse": functions.read_dataclasses,
    "tyro.cli": functions.read_dataclasses,
    "argparse.ArgumentParser": argparse_calls.read,
    "absl.app.run": absl_flags.read,
}
"""What a script uses, and who reads its arguments then."""

OTHERS = (
    "jsonargparse", "configargparse", "configobj", "docopt", "plac", "tap", "sacred", "gin", "ml_collections", "guild",
    "getopt", "optparse", "simple_parsing.ArgumentParser", "omegaconf.OmegaConf.from_cli", "draccus", "pydantic_settings",
)  # fmt: skip
"""What else reads a command line, and is not understood here."""


def arguments_of(script: Path, *, roots: tuple[Path, ...] = ()) -> Arguments | None:
    """Return what a script takes; None where its source alone does not tell for sure.

    Args:
        script: The file.
        roots: Where its own modules are looked for, beside its directory.
    """
    sources = read(script, (script.parent, *roots))
    if sources is None:
        return None
    used = {place.module.origin(place.node) for place in sources.places}
    imported = {origin for module in sources.modules for origin in module.origins.values()}
    if any(name == other or name.startswith(f"{other}.") for name in used | imported for other in OTHERS):
        return None
    readers = list(dict.fromkeys(reader for name, reader in READERS.items() if name in used))
    return readers[0](sources) if len(readers) == 1 else None


def visible_arguments(script: Path, *, roots: tuple[Path, ...] = ()) -> Arguments | None:
    """Return what can be seen of what a script takes, for somebody who will look at it; None where nothing can.

    A parser whose arguments are not all seen counts as well, and without one the uses of ``wandb.config``, which a
    sweep fills in whatever the command line says.
    """
    found = arguments_of(script, roots=roots)
    if found is not None:
        return found
    sources = read(script, (script.parent, *roots))
    if sources is None:
        return None
    known = argparse_calls.visible(sources)
    if known:
        return Arguments(library="argparse", known=known, others=("",), sure=False)
    return wandb_config.read(sources)
