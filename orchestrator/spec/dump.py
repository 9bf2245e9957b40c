"""A spec back to YAML that reads as the same spec."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import yaml

from orchestrator.spec.cursor import YAML_1_1_FLOAT
from orchestrator.spec.durations import format_duration
from orchestrator.spec.model import (
    Beta,
    Categorical,
    Constant,
    EarlyTerminate,
    Gaussian,
    Interval,
    Metric,
    Nested,
    Options,
    Parameter,
    PythonBy,
    Recipient,
    Resources,
    SweepSpec,
)

PLAIN_KEYS = ("program", "run_cap", "name", "description", "project", "entity", "controller", "job", "image_uri")


_RARE_LINE_ENDS = frozenset("\x85\u2028\u2029\ufeff")
"""PyYAML writes them as they are, and reads the first three as a line break or blank."""


class _Dumper(yaml.SafeDumper):
    """Writes every value out, without anchors, and in quotes what the reader would take for something else."""

    def ignore_aliases(self, _data: Any) -> bool:
        """Never write an alias."""
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    quoted = YAML_1_1_FLOAT.fullmatch(text) or not _RARE_LINE_ENDS.isdisjoint(text)
    style = '"' if quoted else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(spec: SweepSpec) -> str:
    """Return YAML text that `load_text` reads as an equal spec."""
    return yaml.dump(to_dict(spec), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def to_dict(spec: SweepSpec) -> dict[str, Any]:
    """Return the spec as plain data with W&B's keys."""
    data: dict[str, Any] = {"method": str(spec.method)}
    data |= {key: getattr(spec, key) for key in PLAIN_KEYS if getattr(spec, key) is not None}
    if spec.command is not None:
        data["command"] = list(spec.command)
    if spec.metric is not None:
        data["metric"] = _metric(spec.metric)
    if spec.metrics:
        data["metrics"] = [_metric(metric) for metric in spec.metrics]
    if spec.early_terminate is not None:
        data["early_terminate"] = _early_terminate(spec.early_terminate)
    if spec.scheduler is not None:
        data["scheduler"] = {k: v for k, v in asdict(spec.scheduler).items() if v is not None}
    if spec.parameters:
        data["parameters"] = _parameters(spec.parameters)
    options = _options(spec.options)
    if spec.scheduler is not None and spec.scheduler.is_users_own:
        options["objective"] = spec.options.objective  # what it is when it is not said depends on the scheduler
    return data | ({"orchestrator": options} if options else {})


def _parameters(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    return {name: _parameter(parameter) for name, parameter in parameters.items()}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    match parameter:
        case Nested():
            return {"parameters": _parameters(parameter.parameters)}
        case Constant():
            return {"value": parameter.value}
        case Categorical(probabilities=None):
            return {"values": list(parameter.values)}
        case Categorical():
            return {"values": list(parameter.values), "probabilities": list(parameter.probabilities or ())}
        case Interval() | Gaussian() | Beta():
            fields = {k: v for k, v in asdict(parameter).items() if v is not None and k != "kind"}
            return {"distribution": str(parameter.kind), **fields}


def _metric(metric: Metric) -> dict[str, Any]:
    defaults = Metric(name=metric.name)
    changed = {k: v for k, v in asdict(metric).items() if k != "name" and v != getattr(defaults, k)}
    return {"name": metric.name, "goal": str(metric.goal)} | {k: v for k, v in changed.items() if k != "goal"}


def _early_terminate(early: EarlyTerminate) -> dict[str, Any]:
    return {"type": early.type} | _changed(early, EarlyTerminate(type=early.type))


def _options(options: Options) -> dict[str, Any]:
    changed = _changed(options, Options())
    timeouts = {k: format_duration(s) for k in ("trial", "sweep") if (s := changed.pop(f"timeout_{k}_s", None))}
    if timeouts:
        changed["timeout"] = timeouts
    if "budget" in changed:
        changed["budget"] = {key: amount for key, amount in changed["budget"].items() if amount is not None}
    if "grace_s" in changed:
        changed["grace"] = format_duration(changed.pop("grace_s"))
    if "resources" in changed:
        changed["resources"] = _resources(options.resources)
    if "sampler_options" in changed:
        changed["sampler"] = {"name": options.sampler, "options": dict(changed.pop("sampler_options"))}
    if options.notify:
        changed["notify"] = [_recipient(recipient) for recipient in options.notify]
    if isinstance(options.python, PythonBy):
        changed["python"] = {"by": options.python.parameter, **options.python.paths}
    return changed


def _recipient(recipient: Recipient) -> Any:
    return {"command": list(recipient.command)} if recipient.command else recipient.url or "bell"


def _resources(resources: Resources) -> dict[str, Any]:
    changed = _changed(resources, Resources())
    if "memory_bytes" in changed:
        changed["memory"] = changed.pop("memory_bytes")
    return changed


def _changed(value: Any, default: Any) -> dict[str, Any]:
    """The fields that differ from the defaults, as plain data."""
    before, after = asdict(default), asdict(value)
    return {k: list(v) if isinstance(v, tuple) else v for k, v in after.items() if v != before[k]}
