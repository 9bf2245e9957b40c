"""The sweep spec: YAML or a dict in, a `SweepSpec` that cannot be wrong out."""
