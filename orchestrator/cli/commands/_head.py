"""`sweep _head`: what `sweep` on another machine asks of this one; nobody types it."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def _head(request: Annotated[str, typer.Argument(metavar="REQUEST", show_default=False)]) -> None:
    """Do what `sweep` on another machine asks for."""
    from orchestrator.cli.heads import version
    from orchestrator.remote.on_head import carry_out

    raise typer.Exit(carry_out(request, [sys.executable, str(Path(sys.argv[0]).absolute())], version()))
