"""Parameters from W&B's own form, and what its engine made of some, for the tests of the search space."""

import json
from pathlib import Path

from orchestrator.space import SearchSpace
from orchestrator.spec.model import Beta, Categorical, Constant, Gaussian, Interval, Kind, Nested

RECORDED = json.loads((Path(__file__).parent / "engine-0.3.0.json").read_text(encoding="utf-8"))
"""Draws and grids of W&B's own engine, the package ``sweeps`` 0.3.0."""


def leaf(given):
    """Return the parameter of a W&B mapping that names its distribution."""
    if "parameters" in given:
        return Nested(parameters={name: leaf(inner) for name, inner in given["parameters"].items()})
    if "value" in given:
        return Constant(value=given["value"])
    if "values" in given:
        weights = given.get("probabilities")
        return Categorical(values=tuple(given["values"]), probabilities=tuple(weights) if weights else None)
    given = dict(given)
    kind = Kind(given.pop("distribution"))
    family = Gaussian if "normal" in kind else Beta if "beta" in kind else Interval
    return family(kind=kind, **given)


def space_of(**parameters):
    return SearchSpace.of({name: leaf(given) for name, given in parameters.items()})


def axis_of(**given):
    return space_of(a=given).axes[0]
