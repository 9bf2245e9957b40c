"""The sweep spec: YAML or a dict in, a `SweepSpec` that cannot be wrong out."""

from orchestrator.spec.dump import dump
from orchestrator.spec.findings import Finding, Severity, SpecError
from orchestrator.spec.model import SweepSpec
from orchestrator.spec.overrides import parse_settings
from orchestrator.spec.reader import Reading, load_dict, load_file, load_recorded, load_text

__all__ = [
    "Finding",
    "Reading",
    "Severity",
    "SpecError",
    "SweepSpec",
    "dump",
    "load_dict",
    "load_file",
    "load_recorded",
    "load_text",
    "parse_settings",
]
