"""A spec, read: text, a file or a dict in; a `SweepSpec` and every finding out, in one pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.spec.cursor import Cursor
from orchestrator.spec.findings import Finding, Findings, Severity, SpecError, render
from orchestrator.spec.model import Constant, Json, Kind, Method, Nested, Options, Parameter, SweepSpec
from orchestrator.spec.options import read_options
from orchestrator.spec.overrides import apply
from orchestrator.spec.parameters import read_parameters
from orchestrator.spec.sections import (
    read_command,
    read_early_terminate,
    read_metric,
    read_metrics,
    read_scheduler,
)
from orchestrator.spec.tree import MAX_BYTES, Refused, Value, from_data, parse

KEYS = (
    "program",
    "command",
    "method",
    "metric",
    "metrics",
    "parameters",
    "early_terminate",
    "run_cap",
    "name",
    "description",
    "project",
    "entity",
    "controller",
    "scheduler",
    "job",
    "image_uri",
    "apiVersion",
    "kind",
    "orchestrator",
)
GRID_KINDS = frozenset({Kind.CONSTANT, Kind.CATEGORICAL, Kind.INT_UNIFORM, Kind.Q_UNIFORM})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What came of reading a spec.

    Attributes:
        spec: None when there are errors.
        findings: Errors and warnings, by position.
        path: What the spec is called in messages.
        lines: The text's lines, empty for a dict.
    """

    spec: SweepSpec | None
    findings: tuple[Finding, ...]
    path: str
    lines: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that keep the spec from being run."""
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that do not."""
        return tuple(f for f in self.findings if f.severity is Severity.WARNING)

    def text(self) -> str:
        """Return all findings as text for people."""
        return render(self.path, self.findings, self.lines)

    def require(self) -> SweepSpec:
        """Return the spec.

        Raises:
            SpecError: There are errors; the message shows every finding.
        """
        if self.spec is None:
            raise SpecError(f"{self.path} cannot be run\n\n{self.text()}", self.findings)
        return self.spec


def load_file(path: Path | str, *, overrides: Mapping[str, str] | None = None, needs_program: bool = True) -> Reading:
    """Read a spec from a file; ``-`` is standard input.

    Raises:
        SpecError: The file cannot be read at all.
    """
    shown = "<stdin>" if str(path) == "-" else str(path)
    try:
        with open(0 if str(path) == "-" else path, "rb", closefd=str(path) != "-") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError(f"{shown}: {error.strerror}\n  Give the path of a sweep's YAML file.") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(data) <= MAX_BYTES:
            raise SpecError(f"{shown}: not UTF-8 text (byte {error.start})\n  Save the file as UTF-8.") from None
        text = data.decode("utf-8", "replace")
    return load_text(text, path=shown, overrides=overrides, needs_program=needs_program)


def load_text(
    text: str, *, path: str = "<text>", overrides: Mapping[str, str] | None = None, needs_program: bool = True
) -> Reading:
    """Read a spec from YAML text. `overrides` are values by dotted key, as ``--set`` takes them."""
    lines = tuple(text.splitlines()) if len(text) <= MAX_BYTES else ()
    findings = Findings(path=path, lines=lines)
    return _reading(parse(text, findings), findings, overrides, needs_program=needs_program)


def load_dict(
    data: Mapping[str, Any],
    *,
    path: str = "<dict>",
    overrides: Mapping[str, str] | None = None,
    needs_program: bool = True,
) -> Reading:
    """Read a spec from a Python dict."""
    findings = Findings(path=path)
    try:
        tree: Value | None = from_data(data)
    except Refused as refusal:
        findings.add(refusal.finding)
        tree = None
    return _reading(tree, findings, overrides, needs_program=needs_program)


def _reading(
    tree: Value | None, findings: Findings, overrides: Mapping[str, str] | None, *, needs_program: bool
) -> Reading:
    spec = None
    if tree is not None:
        root = Cursor(tree, "", findings)
        if root.is_map:
            apply(root, overrides or {})
            spec = _read(root, needs_program=needs_program)
        else:
            root.error(f"{root.shown} is not a mapping", hint="a spec has keys: method, parameters, ...")
    found = findings.sorted()
    broken = any(finding.severity is Severity.ERROR for finding in found)
    return Reading(spec=None if broken else spec, findings=found, path=findings.path, lines=tuple(findings.lines))


def _read(root: Cursor, *, needs_program: bool) -> SweepSpec:
    root.unknown_keys(KEYS)
    method = _method(root)
    scheduler = read_scheduler(root.at("scheduler")) if root.get("scheduler") else None
    metric = read_metric(root.at("metric")) if root.get("metric") else None
    metrics = read_metrics(root.at("metrics")) if root.get("metrics") else ()
    parameters = _parameters(root, own_space=scheduler is not None and scheduler.search_space is not None)
    early = read_early_terminate(root.at("early_terminate")) if root.get("early_terminate") else None
    texts = {
        key: root.at(key).text() for key in ("program", "name", "description", "project", "entity") if root.get(key)
    }
    texts |= {key: root.at(key).text() for key in ("job", "image_uri") if root.get(key)}
    command = read_command(root.at("command")) if root.get("command") else None
    options = read_options(root.at("orchestrator")) if root.get("orchestrator") else Options()
    spec = SweepSpec(
        method=method,
        parameters=parameters,
        program=texts.get("program"),
        command=command,
        metric=metric,
        metrics=metrics,
        early_terminate=early,
        run_cap=root.at("run_cap").integer(least=1) if root.get("run_cap") else None,
        name=texts.get("name"),
        description=texts.get("description"),
        project=texts.get("project"),
        entity=texts.get("entity"),
        controller=_controller(root),
        scheduler=scheduler,
        job=texts.get("job"),
        image_uri=texts.get("image_uri"),
        options=options,
    )
    _check_together(root, spec, needs_program=needs_program)
    if early is not None and not spec.objectives:
        return _without_early_terminate(root, spec)
    return spec


def _method(root: Cursor) -> Method:
    if "method" not in root:
        root.error("has no `method`", hint="one of grid, random, bayes, custom", fix="method: random")
        return Method.RANDOM
    chosen = root.at("method").choice(str(method) for method in Method)
    return Method(chosen) if chosen else Method.RANDOM


def _parameters(root: Cursor, *, own_space: bool) -> dict[str, Parameter]:
    if root.get("parameters"):
        return read_parameters(root.at("parameters"))
    if not own_space:
        root.error("has no `parameters`", hint="name at least one parameter and its values")
    return {}


def _controller(root: Cursor) -> Mapping[str, Json] | None:
    at = root.get("controller")
    if at is None or not at.mapping("a mapping with `type`"):
        return None
    if "type" not in at:
        at.warn("has no `type`", hint="local or cloud; the sweep is controlled here in any case")
    elif at.at("type").data not in {"local", "cloud"}:
        at.at("type").warn(
            f"{at.at('type').shown} is neither local nor cloud", hint="it is controlled here in any case"
        )
    return dict(at.data)


# ---- what only the whole spec shows ----------------------------------------------------------------------------------


def _check_together(root: Cursor, spec: SweepSpec, *, needs_program: bool) -> None:
    if needs_program:
        _check_program(root, spec)
    _check_metric(root, spec)
    _check_scheduler(root, spec)
    if spec.method is Method.GRID:
        _check_grid(root.at("parameters") if root.get("parameters") else root, spec.parameters)
    if spec.method is Method.BAYES and spec.parameters and not _varies(spec.parameters):
        root.at("parameters").error("all are constant", hint="bayes needs a parameter that varies")
    for index, config in enumerate(spec.options.first):
        _check_first(root.at("orchestrator").at("first"), index, config, spec.parameters)


def _check_program(root: Cursor, spec: SweepSpec) -> None:
    uses_program = spec.command is None or "${program}" in spec.command
    if uses_program and not spec.program and not root.get("program"):
        root.error("has no `program`", hint="the script to run, or package.module:object", fix="program: train.py")


def _check_metric(root: Cursor, spec: SweepSpec) -> None:
    if root.get("metric") and root.get("metrics"):
        root.at("metrics").error("stands beside `metric`", hint="keep one of the two")
    names = [metric.name for metric in spec.metrics]
    if len(set(names)) < len(names):
        root.at("metrics").error("names a metric twice")
    if spec.metrics and spec.method not in {Method.CUSTOM, Method.BAYES}:
        hint = "W&B takes it with `method: custom` only; here best trials are shown as a Pareto front"
        root.at("metrics").warn(f"has no influence on `method: {spec.method}`", hint=hint)
    if spec.method is Method.BAYES and not spec.objectives and not root.get("metric") and not root.get("metrics"):
        fix = "metric: {name: loss, goal: minimize}"
        root.error("has no `metric`", hint="bayes must know what to optimise", fix=fix)


def _check_scheduler(root: Cursor, spec: SweepSpec) -> None:
    if spec.method is Method.CUSTOM and not root.get("scheduler"):
        hint = "say which engine chooses the configs"
        root.at("method").error("custom needs a `scheduler`", hint=hint, fix="scheduler: {engine: optuna}")
    if spec.scheduler is None:
        return
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


def _check_grid(cursor: Cursor, parameters: Mapping[str, Parameter]) -> None:
    for name, parameter in parameters.items():
        at = cursor.at(name)
        if isinstance(parameter, Nested):
            _check_grid(at.at("parameters"), parameter.parameters)
        elif parameter.kind not in GRID_KINDS:
            at.error(
                f"{parameter.kind} has no finite list of values for a grid",
                hint="list `values`, use q_uniform or int bounds, or `method: random`",
            )


def _check_first(cursor: Cursor, index: int, config: Mapping[str, Json], parameters: Mapping[str, Parameter]) -> None:
    at = list(cursor.elements())[index]
    for name in config:
        if name not in parameters:
            at.at(name).error("is not a parameter", hint=f"parameters: {', '.join(parameters)}")
    missing = [n for n, p in parameters.items() if n not in config and not isinstance(p, Constant)]
    if missing:
        at.error(f"has no value for {', '.join(missing)}", hint="a config to try first gives every parameter")


def _varies(parameters: Mapping[str, Parameter]) -> bool:
    return any(
        _varies(p.parameters) if isinstance(p, Nested) else not isinstance(p, Constant) for p in parameters.values()
    )


def _without_early_terminate(root: Cursor, spec: SweepSpec) -> SweepSpec:
    from dataclasses import replace

    if not root.get("metric") and not root.get("metrics"):
        hint = "without one no trial is ended early"
        root.at("early_terminate").warn(
            "has no `metric` to judge by", hint=hint, fix="metric: {name: loss, goal: minimize}"
        )
    return replace(spec, early_terminate=None)
