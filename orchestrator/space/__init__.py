"""The search space: distributions, the unit cube, grids."""
