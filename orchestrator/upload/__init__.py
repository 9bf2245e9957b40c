"""Runs that trials recorded offline, on their way to a W&B server: beside the sweep, or later by `sweep sync`."""
