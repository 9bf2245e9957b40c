"""A spec, read: text, a file or a dict in; a `SweepSpec` and every finding out, in one pass."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.spec.consistency import check_together
from orchestrator.spec.cursor import Cursor
from orchestrator.spec.findings import (
    WIDTH,
    Finding,
    Findings,
    Mark,
    Severity,
    SpecError,
    near_miss,
    printable,
    render,
    unpainted,
)
from orchestrator.spec.model import Json, Method, Metric, Options, Parameter, Scheduler, SweepSpec
from orchestrator.spec.options import READERS, read_options
from orchestrator.spec.overrides import apply
from orchestrator.spec.parameters import read_parameters
from orchestrator.spec.sections import (
    brings_space,
    read_command,
    read_early_terminate,
    read_metric,
    read_metrics,
    read_misnamed_metric,
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
NAMES = ("name", "project", "entity", "job", "image_uri")
SYNONYMS = {
    "program": ("script", "entrypoint", "entry_point", "main", "file", "train", "executable"),
    "method": ("search", "strategy", "algorithm", "searcher", "search_method", "sampling"),
    "parameters": (
        "hyperparameters",
        "params",
        "space",
        "search_space",
        "hparams",
        "hyperparams",
        "config",
        "variables",
    ),
    "metric": ("objective_metric", "target_metric", "monitor", "optimize"),
    "early_terminate": ("early_stopping", "early_stop", "early_termination", "stopping", "hyperband", "pruner"),
    "run_cap": ("count", "max_runs", "num_runs", "n_trials", "num_trials", "max_trials", "runs", "trials", "budget"),
    "command": ("cmd", "args", "arguments"),
    "orchestrator": ("options", "settings"),
}
"""What other tools call W&B's keys."""

HINTS = (
    {other: f"did you mean `{key}`?" for key, others in SYNONYMS.items() for other in others}
    | dict.fromkeys(("goal", "target", "impute"), "it belongs under `metric:`")
    | dict.fromkeys(("min_iter", "max_iter", "s", "eta"), "it belongs under `early_terminate:`")
    | {key: f"it belongs under `orchestrator:`, as `orchestrator: {{{key}: ...}}`" for key in READERS}
)
"""What to do about a key that has its place elsewhere, or another name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What came of reading a spec.

    Attributes:
        spec: None when there are errors.
        findings: Errors and warnings, by position.
        path: What the spec is called in messages.
        lines: The text's lines, empty for a dict.
        places: Where the keys are, by dotted name, the two upper levels.
    """

    spec: SweepSpec | None
    findings: tuple[Finding, ...]
    path: str
    lines: tuple[str, ...] = ()
    places: Mapping[str, Mark] = field(default_factory=dict)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that keep the spec from being run."""
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that do not."""
        return tuple(f for f in self.findings if f.severity is Severity.WARNING)

    def refused(self, message: str, where: str | None) -> "Reading":
        """Return this reading with an error that only trying shows, at the key that is to blame or the one above it."""
        names = [] if where is None else [where, where.partition(".")[0]]
        place = next((name for name in names if name in self.places), "")
        text, _, remedy = (message.removeprefix(place).lstrip(": ") if place else message).partition("\n")
        hint = " ".join(remedy.split()) or None
        return self.with_findings([Finding(severity=Severity.ERROR, where=place, message=text, hint=hint)])

    def with_findings(self, more: Iterable[Finding]) -> "Reading":
        """Return this reading with findings of others, each at the key that it names; an error leaves no spec."""
        findings = Findings(path=self.path, lines=self.lines)
        for finding in (*self.findings, *(replace(f, mark=self.places.get(f.where)) for f in more)):
            findings.add(finding)
        found = findings.sorted()
        broken = any(finding.severity is Severity.ERROR for finding in found)
        return replace(self, spec=None if broken else self.spec, findings=found)

    def text(self, *, width: int = WIDTH, paint: Callable[[str, str], str] = unpainted) -> str:
        """Return all findings as text for people; see `render`."""
        return render(self.path, self.findings, self.lines, width=width, paint=paint)

    def require(self) -> SweepSpec:
        """Return the spec.

        Raises:
            SpecError: There are errors; the message shows every finding.
        """
        if self.spec is None:
            raise SpecError(f"{printable(self.path)} cannot be run\n\n{self.text()}", self.findings)
        return self.spec


def load_file(path: Path | str, *, overrides: Mapping[str, str] | None = None, needs_program: bool = True) -> Reading:
    """Read a spec from a file; ``-`` is standard input. A file that cannot be read is an error like any other."""
    shown = "<stdin>" if str(path) == "-" else str(path)
    try:
        text = _decoded(_content(path))
    except Refused as refusal:
        findings = Findings(path=shown)
        findings.add(refusal.finding)
        return Reading(spec=None, findings=findings.sorted(), path=shown)
    return load_text(text, path=shown, overrides=overrides, needs_program=needs_program)


def load_text(
    text: str, *, path: str = "<text>", overrides: Mapping[str, str] | None = None, needs_program: bool = True
) -> Reading:
    """Read a spec from YAML text. `overrides` are values by dotted key, as ``--set`` takes them."""
    lines = tuple(text.removeprefix("\ufeff").splitlines()) if len(text) <= MAX_BYTES else ()
    findings = Findings(path=path, lines=lines)
    return _reading(parse(text, findings), findings, overrides, needs_program=needs_program)


def load_recorded(text: str) -> SweepSpec:
    """Return the spec that a sweep recorded; its program may be gone, or be a function."""
    return load_text(text, path="recorded spec", needs_program=False).require()


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


def _content(path: Path | str) -> bytes:
    """Return the start of a file, long enough to see that it is too long."""
    is_stdin = str(path) == "-"
    try:
        with open(0 if is_stdin else path, "rb", closefd=not is_stdin) as file:
            return file.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise Refused("a directory", hint=f"name the files in it: {Path(path) / '*.yaml'}") from None
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise Refused(reason[:1].lower() + reason[1:], hint="give the path of a sweep's YAML file") from None


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(data) > MAX_BYTES:  # where it was cut, perhaps inside a character
            return data.decode("utf-8", "replace")
        if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            raise Refused("UTF-16 text", hint="save the file as UTF-8") from None
        before = data[: error.start].decode("utf-8-sig").splitlines(keepends=True)
        lines = "".join((*before, "x")).splitlines()
        place = Mark(len(lines), len(lines[-1]))
        raise Refused(f"the byte 0x{data[error.start]:02x} is not UTF-8", place, "save the file as UTF-8") from None


def _reading(
    tree: Value | None, findings: Findings, overrides: Mapping[str, str] | None, *, needs_program: bool
) -> Reading:
    spec = None
    places: dict[str, Mark] = {}
    if tree is not None:
        root = Cursor(tree, "", findings)
        if root.is_map:
            apply(root, overrides or {}, KEYS)
            spec = _read(root, needs_program=needs_program)
            places = _places(tree)
        else:
            root.error(f"{root.shown} is not a mapping", hint="a spec has keys: method, parameters, ...")
    found = findings.sorted()
    broken = any(finding.severity is Severity.ERROR for finding in found)
    return Reading(
        spec=None if broken else spec,
        findings=found,
        path=findings.path,
        lines=tuple(findings.lines),
        places=places,
    )


def _places(tree: Value) -> dict[str, Mark]:
    """Where the keys of the two upper levels are."""
    upper = {name: (value, tree.keys.get(name)) for name, value in (tree.items or {}).items()}
    lower = {
        f"{above}.{name}": value.keys.get(name) for above, (value, _) in upper.items() for name in value.items or ()
    }
    every = {name: mark for name, (_, mark) in upper.items()} | lower
    return {name: mark for name, mark in every.items() if mark is not None}


def _read(root: Cursor, *, needs_program: bool) -> SweepSpec:
    root.unknown_keys(KEYS, hints=HINTS)
    scheduler = read_scheduler(root.at("scheduler")) if root.get("scheduler") else None
    spec = SweepSpec(
        method=_method(root),
        parameters=_parameters(root, own_space=scheduler is not None and brings_space(scheduler)),
        program=root.at("program").text() if root.get("program") else None,
        command=read_command(root.at("command")) if root.get("command") else None,
        metric=_metric(root),
        metrics=read_metrics(root.at("metrics")) if root.get("metrics") and not _is_misnamed_metric(root) else (),
        early_terminate=read_early_terminate(root.at("early_terminate")) if root.get("early_terminate") else None,
        run_cap=root.at("run_cap").integer(least=1) if root.get("run_cap") else None,
        description=root.at("description").text(lines=True) if root.get("description") else None,
        controller=_controller(root),
        scheduler=scheduler,
        options=_options(root, scheduler),
        **{key: root.at(key).name() for key in NAMES if root.get(key)},
    )
    check_together(root, spec, needs_program=needs_program)
    return spec if spec.objectives else replace(spec, early_terminate=None)


def _metric(root: Cursor) -> Metric | None:
    if _is_misnamed_metric(root):
        return read_misnamed_metric(root.at("metrics"))
    return read_metric(root.at("metric")) if root.get("metric") else None


def _is_misnamed_metric(root: Cursor) -> bool:
    """Return whether `metrics` holds what `metric` means."""
    several = None if root.get("metric") else root.get("metrics")
    return several is not None and (several.is_map or isinstance(several.value.data, str))


def _method(root: Cursor) -> Method:
    """Return the method; of one that cannot be read the likeliest, so that the rest is judged by it."""
    if "method" not in root:
        root.error("has no `method`", hint="one of grid, random, bayes, custom", fix="method: random")
        return Method.RANDOM
    at = root.at("method")
    chosen = at.choice(str(method) for method in Method)
    return Method(chosen or near_miss(str(at.data), list(Method)) or Method.RANDOM)


def _parameters(root: Cursor, *, own_space: bool) -> dict[str, Parameter]:
    if root.get("parameters"):
        return read_parameters(root.at("parameters"))
    if not own_space:
        root.error("has no `parameters`", hint="name at least one parameter and its values")
    return {}


def _options(root: Cursor, scheduler: Scheduler | None) -> Options:
    """Return our own block. A study of the user's own is told a trial's last value, as W&B tells it, unless that is said."""
    at = root.get("orchestrator")
    options = read_options(at) if at is not None else Options()
    if at is not None and at.is_map and at.get("objective"):
        return options
    return replace(options, objective="last") if scheduler is not None and scheduler.is_users_own else options


def _controller(root: Cursor) -> Mapping[str, Json] | None:
    at = root.get("controller")
    if at is None:
        return None
    hint = "the sweep is controlled here in any case"
    if not at.is_map:
        at.warn(f"{at.shown} is not a mapping", hint=hint, fix="controller: {type: local}")
        return None
    if "type" not in at:
        at.warn("has no `type`", hint=f"local or cloud; {hint}")
    elif at.at("type").data not in ("local", "cloud"):
        at.at("type").warn(f"{at.at('type').shown} is neither local nor cloud", hint=hint)
    return dict(at.data)
