"""Sweeps from Python: W&B's own call shapes for scripts and notebooks, and results as data frames."""
