"""What only the whole spec shows: sections that need, exclude or change the meaning of each other."""

import math
from collections.abc import Iterator, Mapping

from orchestrator.spec.cursor import Cursor, yaml_float
from orchestrator.spec.model import (
    Categorical,
    Constant,
    Interval,
    Kind,
    Leaf,
    Method,
    Nested,
    Parameter,
    PythonBy,
    SweepSpec,
    python_key,
)
from orchestrator.spec.sections import warn_of_home

GRID_KINDS = frozenset({Kind.CONSTANT, Kind.CATEGORICAL, Kind.INT_UNIFORM, Kind.Q_UNIFORM})
STEPPED = frozenset({Kind.Q_UNIFORM, Kind.Q_LOG_UNIFORM_VALUES})
"""Quantised kinds whose bounds are values; the others have exponents, or no bounds."""

WITHOUT_PROGRAM = (
    "the script to run, or package.module:object. A sweep for wandb.agent(sweep_id, function=...) has none, and runs from "
    "Python: `from orchestrator import wandb`, then wandb.sweep and wandb.agent as ever"
)
A_METRIC = "metric: {name: loss, goal: minimize}"


def check_together(root: Cursor, spec: SweepSpec, *, needs_program: bool) -> None:
    """File what is wrong with a spec as a whole; `root` is the place it was read from."""
    if needs_program:
        _check_program(root, spec)
    _check_metric(root, spec)
    _check_scheduler(root, spec)
    _check_parameters(root, spec)
    _check_python(root, spec)
    _check_first(root)


def _check_program(root: Cursor, spec: SweepSpec) -> None:
    uses_program = spec.command is None or "${program}" in spec.command
    if uses_program and not root.get("program"):
        root.error("has no `program`", hint=WITHOUT_PROGRAM, fix="program: train.py")
    if str(spec.program or "").startswith("~"):
        warn_of_home(root.at("program"))


def _check_metric(root: Cursor, spec: SweepSpec) -> None:
    if root.get("metric") and root.get("metrics"):
        root.at("metrics").error("stands beside `metric`", hint="keep one of the two")
    names = [metric.name for metric in spec.metrics]
    if len(set(names)) < len(names):
        root.at("metrics").error("names a metric twice")
    has_metric = root.get("metric") or root.get("metrics")
    if spec.metrics and spec.method in {Method.GRID, Method.RANDOM} and _says(root, spec.method):
        hint = "W&B takes it with `method: custom` only; here best trials are shown as a Pareto front"
        root.at("metrics").warn(f"has no influence on `method: {spec.method}`", hint=hint)
    if spec.method is Method.BAYES and _says(root, spec.method) and _are_in_order(root, names):
        root.at("metrics").warn("stands beside `method: bayes`", hint=_what_bayes_does(spec))
    if spec.method is Method.BAYES and not has_metric:
        root.error("has no `metric`", hint="bayes must know what to optimise", fix=A_METRIC)
    elif root.get("early_terminate") and not has_metric:
        hint = "without one no trial is ended early"
        root.at("early_terminate").warn("has no `metric` to judge by", hint=hint, fix=A_METRIC)


def _are_in_order(root: Cursor, names: list[str]) -> bool:
    """Return whether there are several metrics, and nothing worse is to be said of them."""
    at = root.get("metrics")
    return at is not None and not root.get("metric") and 1 < len(set(names)) == len(list(at.elements()))


def _what_bayes_does(spec: SweepSpec) -> str:
    names = ", ".join(metric.name for metric in spec.metrics)
    return (
        "W&B takes it with `method: custom` only, its bayes knows one metric; here bayes looks for the Pareto front of "
        f"{names}"
    )


def _check_own_study(root: Cursor, spec: SweepSpec) -> None:
    """What has no say where the user's own study or client chooses."""
    assert spec.scheduler is not None
    if spec.scheduler.engine == "optuna" and spec.scheduler.search_space and root.get("parameters"):
        root.at("parameters").warn("is not used", hint="`scheduler.search_space` defines the parameters, as in W&B")
    entries = (
        [root.at("metric")]
        if root.get("metric")
        else list(root.at("metrics").elements())
        if root.get("metrics")
        else []
    )
    for entry in entries:
        for key in ("impute", "impute_while_running"):
            if key in entry and entry.at(key).data not in ("false", False):
                hint = "it is told that the trial failed, or was pruned with what it had shown"
                entry.at(key).warn("has no effect on a study of your own, as in W&B", hint=hint)


def _check_scheduler(root: Cursor, spec: SweepSpec) -> None:
    if spec.method is Method.CUSTOM and not root.get("scheduler"):
        hint = "say which engine chooses the configs"
        root.at("method").error("custom needs a `scheduler`", hint=hint, fix="scheduler: {engine: optuna}")
    if spec.scheduler is None:
        return
    if spec.scheduler.is_users_own:
        _check_own_study(root, spec)
    own = spec.scheduler.engine == "wandb"
    if own == (spec.method is Method.CUSTOM):
        wanted = "grid, random or bayes" if own else "custom"
        root.at("scheduler").at("engine").error(f"{spec.scheduler.engine} goes with `method: {wanted}`")
    if root.get("early_terminate"):
        root.at("early_terminate").warn(
            "stands beside `scheduler`", hint="W&B refuses the two together; here both work"
        )
    if root.get("controller"):
        root.at("controller").warn("stands beside `scheduler` and is ignored")


def _check_first(root: Cursor) -> None:
    """`orchestrator.first`: each config gives a value for every parameter that varies, and for nothing else."""
    options, parameters = root.get("orchestrator"), root.get("parameters")
    first = options.get("first") if options else None
    if first is None or parameters is None:
        return
    names = parameters.names()
    for config in first.elements():
        if not config.is_map:
            continue
        for name in config.names():
            if name not in names:
                config.at_key(name).error("is not a parameter", hint=f"parameters: {', '.join(names)}")
        missing = [name for name in names if name not in config and "value" not in parameters.at(name)]
        if missing:
            config.error(f"has no value for {', '.join(missing)}", hint="a config to try first gives every parameter")


def _check_python(root: Cursor, spec: SweepSpec) -> None:
    """`orchestrator.python` by a parameter: one that is there, and a Python for each of its values and for nothing else."""
    by = spec.options.python
    if not isinstance(by, PythonBy):
        return
    at = root.at("orchestrator").at("python")
    leaves = _by_name(spec.parameters)
    leaf = leaves.get(by.parameter)
    if not isinstance(leaf, Categorical | Constant):
        problem = "is not a parameter" if leaf is None else "has no list of values"
        known = [name for name, found in leaves.items() if isinstance(found, Categorical | Constant)]
        at.at("by").error(f"{by.parameter} {problem}", hint=f"parameters with `values`: {', '.join(known) or 'none'}")
        return
    values = [python_key(value) for value in (leaf.values if isinstance(leaf, Categorical) else (leaf.value,))]
    for name in by.paths:
        if name not in values and not isinstance(
            leaf, Constant
        ):  # a parameter that `--set` fixed has one of its values
            at.at_key(name).error(f"{by.parameter} has no such value", hint=f"its values: {', '.join(values)}")
    missing = [value for value in values if value not in by.paths]
    if missing:
        at.error(f"names no Python for {by.parameter}: {', '.join(missing)}", hint="each value has one")


def _by_name(parameters: Mapping[str, Parameter], above: str = "") -> dict[str, Leaf]:
    found: dict[str, Leaf] = {}
    for name, parameter in parameters.items():
        if isinstance(parameter, Nested):
            found |= _by_name(parameter.parameters, f"{above}{name}.")
        else:
            found[above + name] = parameter
    return found


def _says(root: Cursor, method: Method) -> bool:
    """Return whether this is the method in the spec, not what stands in for one that cannot be read."""
    return "method" in root and root.at("method").data == method


def _check_parameters(root: Cursor, spec: SweepSpec) -> None:
    if not spec.parameters:
        return
    at = root.at("parameters")
    leaves = list(_leaves(at, spec.parameters))
    for place, leaf in leaves:
        if spec.method is Method.GRID:
            _check_on_grid(place, leaf)
        elif isinstance(leaf, Interval) and leaf.kind in STEPPED:
            _check_reach(place, leaf)
    varies = any(not isinstance(leaf, Constant) for _, leaf in leaves)
    if spec.method is Method.BAYES and not varies and len(spec.parameters) == len(at.names()):
        at.error("all are constant", hint="bayes needs a parameter that varies")


def _leaves(cursor: Cursor, parameters: Mapping[str, Parameter]) -> Iterator[tuple[Cursor, Leaf]]:
    for name, parameter in parameters.items():
        if isinstance(parameter, Nested):
            yield from _leaves(cursor.at(name).at("parameters"), parameter.parameters)
        else:
            yield cursor.at(name), parameter


def _check_on_grid(cursor: Cursor, leaf: Leaf) -> None:
    if leaf.kind not in GRID_KINDS:
        cursor.error(
            f"{leaf.kind} has no finite list of values for a grid",
            hint="list `values`, use q_uniform or int bounds, or `method: random`",
        )
    elif isinstance(leaf, Interval) and leaf.kind is Kind.Q_UNIFORM:
        _check_end_of_grid(cursor, leaf)


def _check_end_of_grid(cursor: Cursor, interval: Interval) -> None:
    """A grid counts from min in steps of q and leaves max out, as numpy.arange does."""
    assert interval.q is not None
    n_steps = (interval.max - interval.min) / interval.q
    if not _close(n_steps, round(n_steps)):
        return
    beyond = interval.max + (1 if isinstance(interval.max, int) and isinstance(interval.q, int) else interval.q / 2)
    cursor.at("max").warn(
        f"a grid leaves {interval.max!r} out: its last value is {interval.max - interval.q:g}",
        hint="W&B excludes `max` there; to have it among the values, write a larger one",
        fix=f"max: {beyond if isinstance(beyond, int) else yaml_float(float(f'{beyond:.12g}'))}",
    )


def _check_reach(cursor: Cursor, interval: Interval) -> None:
    """Draws are multiples of q, and here those between min and max."""
    assert interval.q is not None
    low, high, q = float(interval.min), float(interval.max), float(interval.q)
    first, last = math.ceil(low / q - 1e-9) * q, math.floor(high / q + 1e-9) * q
    if first > last:
        drawn = " or ".join(f"{value:g}" for value in sorted({round(low / q) * q, round(high / q) * q}))
        cursor.warn(f"no multiple of q={interval.q!r} lies between min and max: every value is {drawn}")
        return
    ends = [name for name, end, bound in (("min", first, low), ("max", last, high)) if not _close(end, bound)]
    if ends:
        are = "are" if len(ends) > 1 else "is"
        cursor.at("q" if "q" in cursor else ends[0]).warn(
            f"{' and '.join(ends)} {are} out of reach in steps of {interval.q!r}: values are {first:g} to {last:g}",
            hint="W&B rounds beyond the bounds instead; here values stay inside",
        )


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
