"""Whether the interpreters that a sweep's trials run in are the same on this node as where the sweep was started."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.interpreters.probe import Interpreter, UnfitError

MATTERS = ("wandb", "torch", "tensorboard", "tensorboardX", "jax", "lightning", "numpy", "ray")
"""Packages whose versions may change what a trial does or records."""


def expected(pythons: Sequence[Interpreter]) -> dict[str, dict[str, Any]]:
    """Return what each interpreter must be elsewhere, as plain data by its path; the own one's node answers for itself."""
    return {
        python.path: {"version": python.version_text, "packages": dict(python.packages)}
        for python in pythons
        if not python.is_own
    }


def disagreement(
    wanted: Mapping[str, Mapping[str, Any]], probe: Callable[[str], Interpreter]
) -> tuple[str | None, str | None]:
    """Compare with what is here.

    Args:
        wanted: As `expected` returns it.
        probe: Asks the interpreter at a path; raises an `UnfitError`.

    Returns:
        What makes trials impossible here, and what is different of the packages; each None when nothing is.
    """
    differ: list[str] = []
    for path, there in wanted.items():
        try:
            here = probe(path)
        except UnfitError as error:
            return f"cannot run trials in {path}: it {error}", None
        if here.version_text.split(".")[:2] != there["version"].split(".")[:2]:
            return (
                f"has Python {here.version_text} at {path}, this machine {there['version']}: they must be the same",
                None,
            )
        packages = [
            f"{name} {here.packages.get(name, 'not')} there, {there['packages'].get(name, 'not')} here"
            for name in MATTERS
            if here.packages.get(name) != there["packages"].get(name)
        ]
        differ += [f"{path}: {', '.join(packages)}"] if packages else []
    return None, f"has other packages in {'; '.join(differ)}" if differ else None
