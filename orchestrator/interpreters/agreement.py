"""Whether the interpreters that a sweep's trials run in are the same on this node as where the sweep was started."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.interpreters.probe import Interpreter, UnfitError, own

MATTERS = ("wandb", "torch", "tensorboard", "tensorboardX", "jax", "lightning", "numpy", "ray")
"""Packages whose versions may change what a trial does or records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What a node has of the interpreters.

    Attributes:
        unfit: What makes trials impossible here; None when nothing does.
        differs: What is different of versions and packages; None when nothing is.
        own: The `sweep` command's own Python, where it is here and this process runs in another; else None.
    """

    unfit: str | None = None
    differs: str | None = None
    own: str | None = None


def expected(pythons: Sequence[Interpreter]) -> dict[str, dict[str, Any]]:
    """Return what each interpreter must be elsewhere, as plain data by its path."""
    return {
        python.path: {"version": python.version_text, "packages": dict(python.packages), "own": python.is_own}
        for python in pythons
    }


def agreement(wanted: Mapping[str, Mapping[str, Any]], probe: Callable[[str], Interpreter]) -> Agreement:
    """Compare with what is here. Where the `sweep` command's own Python is not, trials of it run in this process's.

    Args:
        wanted: As `expected` returns it.
        probe: Asks the interpreter at a path; raises an `UnfitError`.
    """
    differ: list[str] = []
    own_here = None
    for path, there in wanted.items():
        try:
            here, is_replaced = probe(path), False
        except UnfitError as error:
            if not there["own"]:
                return Agreement(unfit=f"cannot run trials in {path}: it {error}")
            here, is_replaced = own(), True
        if here.version_text.split(".")[:2] != there["version"].split(".")[:2]:
            return Agreement(
                unfit=f"has Python {here.version_text} at {here.path}, this machine {there['version']}: "
                "they must be the same"
            )
        own_here = path if there["own"] and not here.is_own else own_here
        packages = ", ".join(others(here.packages, there["packages"]))
        if is_replaced:
            differ.append(f"no {path}, and runs trials in {here.path}{packages and ' with other packages: '}{packages}")
        elif packages:
            differ.append(f"other packages in {path}: {packages}")
    return Agreement(differs=f"has {'; '.join(differ)}" if differ else None, own=own_here)


def others(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """Return what differs of two environments, for people where the sweep was started."""
    return [
        f"{name} {here.get(name, 'not')} there, {there.get(name, 'not')} here"
        for name in MATTERS
        if here.get(name) != there.get(name)
    ]
