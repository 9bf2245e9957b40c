"""The search space: distributions, the unit cube, grids."""

from orchestrator.space.grid import Grid
from orchestrator.space.search_space import SearchSpace

__all__ = ["Grid", "SearchSpace"]
