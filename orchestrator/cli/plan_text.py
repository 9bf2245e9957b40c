"""How `sweep plan` looks: a summary, the table of parameters, the first trials; and the same as data."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.cli.paint import Paint, plain
from orchestrator.cli.preview import ParameterPreview, Preview
from orchestrator.printable import clean
from orchestrator.reporting.wording import command_line, duration, gib
from orchestrator.spec.model import EarlyTerminate, Method, Metric, Resources, SweepSpec
from orchestrator.trial.contract.launch import Program, ProgramKind

N_RUNGS_SHOWN = 6
"""Rungs of early termination that are listed; W&B enumerates 100."""


def as_data(found: Preview) -> dict[str, Any]:
    """Return the whole plan as JSON can carry it."""
    spec = found.spec
    return {
        "name": spec.name,
        "description": spec.description,
        "method": spec.method.value,
        "sampler": spec.options.sampler if _learns(spec) else None,
        "objectives": [asdict(metric) for metric in spec.objectives],
        "n_configs": found.n_configs,
        "n_trials": found.n_trials,
        "n_dimensions": found.n_dimensions,
        "seed": spec.options.seed,
        "parameters": [asdict(parameter) for parameter in found.parameters],
        "python": found.pythons.data(),
        "program": asdict(found.program) if found.program else None,
        "trials": [{**asdict(trial), "command": command_line(trial.argv)} for trial in found.trials],
        "early_terminate": {**asdict(spec.early_terminate), "rungs": found.rungs} if spec.early_terminate else None,
        "resources": asdict(spec.options.resources),
        "concurrency": spec.options.concurrency,
        "run_cap": spec.run_cap,
        "timeout_trial_s": spec.options.timeout_trial_s,
        "timeout_sweep_s": spec.options.timeout_sweep_s,
        "budget": asdict(spec.options.budget),
        "retries": spec.options.retries,
    }


def lines(found: Preview, more: Sequence[tuple[str, str]] = (), *, paint: Paint = plain) -> list[str]:
    """Return the plan for people: a summary, to which `more` is added, the table of parameters, the first trials."""
    told = [(name, text) for name, text in (*_summary(found), *more) if text]
    width = max(len(name) for name, _ in told)
    summary = [f"  {paint('margin', name.ljust(width))}  {text}" for name, text in told]
    header, *rows = aligned([("parameter", "distribution", "values", "scale", "count"), *map(_row, found.parameters)])
    trials = [f"{paint('margin', f'{trial.number:>4}')}  {command_line(trial.argv)}" for trial in found.trials]
    title, heading = paint("title", _title(found.spec)), paint("title", _heading(found))
    return [title, *summary, "", paint("margin", header), *rows, "", heading, *trials]


def brief(found: Preview, more: Sequence[tuple[str, str]]) -> list[str]:
    """Return a plan without what only the machine that runs it knows: a title, how much is run, and `more` lines."""
    told = [(name, text) for name, text in (*_summary(found), *more) if text and name not in {"python", ""}]
    return [_title(found.spec), *aligned([(name, clean(text)) for name, text in told], indent="  ")]


def aligned(rows: Sequence[Sequence[str]], *, indent: str = "") -> list[str]:
    """Return rows as lines with their columns aligned, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = (zip(row, widths, strict=True) for row in rows)
    return [(indent + "  ".join(cell.ljust(width) for cell, width in row)).rstrip() for row in padded]


def _title(spec: SweepSpec) -> str:
    how = f"{spec.method.value} ({spec.options.sampler})" if _learns(spec) else spec.method.value
    return clean(": ".join(part for part in (spec.name, ", ".join((how, *map(_objective, spec.objectives)))) if part))


def _objective(metric: Metric) -> str:
    target = "" if metric.target is None else f" until {metric.target:g}"
    return f"{metric.goal.value} {metric.name}{target}"


def _summary(found: Preview) -> list[tuple[str, str]]:
    options = found.spec.options
    return [
        ("about", clean(found.spec.description or "")),
        ("runs", clean(_program(found.program)) if found.program else ""),
        *(("python" if n == 0 else "", clean(line)) for n, line in enumerate(found.pythons.lines(found.cwd))),
        ("trials", _trials(found)),
        ("space", f"{_count(found.n_dimensions, 'parameter')} to vary, {_configs(found.n_configs)}"),
        ("each", f"{_resources(options.resources)}; {_concurrency(options.concurrency)}"),
        ("early end", _early_end(found.spec.early_terminate, found.rungs)),
        ("limits", _limits(found.spec)),
    ]


def _program(program: Program) -> str:
    target = shlex.join((*program.interpreter_args, program.target))
    if program.kind is ProgramKind.COMMAND:
        return f"{target}, started cold: {program.reason}"
    return f"{program.kind.value} {target}, started warm"


def _trials(found: Preview) -> str:
    if found.n_trials is None:
        return "no end: set run_cap, or stop it by hand"
    why = "run_cap" if found.n_trials == found.spec.run_cap else "every config once"
    return f"{found.n_trials:,} ({why})"


def _configs(n: int | None) -> str:
    if n is None:
        return "infinitely many configs"
    return _count(n, "config") if n < 10**12 else f"about {n:.3g} configs" if n < 10**300 else "countless configs"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}" + ("" if n == 1 else "s")


def _resources(resources: Resources) -> str:
    parts = [
        "" if resources.gpu is None else f"{resources.gpu:g} GPU",
        "" if resources.cpu is None else f"{resources.cpu:g} CPU",
        "" if resources.memory_bytes is None else f"{gib(resources.memory_bytes)} GiB",
        *(f"{amount:g} {clean(name)}" for name, amount in resources.custom.items()),
    ]
    return " + ".join(filter(None, parts)) or "1 GPU where the cluster has GPUs, else 1 CPU"


def _concurrency(concurrency: int | None) -> str:
    return "as many at once as fit" if concurrency is None else f"at most {concurrency} at once"


def _early_end(early: EarlyTerminate | None, rungs: Sequence[int]) -> str:
    if early is None:
        return ""
    if early.type == "median":
        return f"median: after row {early.min_iter or 1}, once {early.min_trials} trials have got there"
    shown = ", ".join(map(str, rungs[:N_RUNGS_SHOWN])) + (", ..." if len(rungs) > N_RUNGS_SHOWN else "")
    return f"{early.type}: judged at rows {shown}; one in {early.eta:g} goes on"


def _limits(spec: SweepSpec) -> str:
    options = spec.options
    parts = [
        "" if options.timeout_trial_s is None else f"trial {duration(options.timeout_trial_s)}",
        "" if options.timeout_sweep_s is None else f"sweep {duration(options.timeout_sweep_s)}",
        "" if options.budget.hours is None else f"{options.budget.hours:g} GPU hours",
        _count(options.retries, "retry").replace("retrys", "retries") if options.retries else "",
    ]
    return ", ".join(filter(None, parts))


def _row(parameter: ParameterPreview) -> tuple[str, ...]:
    count = "" if parameter.n_values is None else f"{parameter.n_values:,}"
    scale = "log" if parameter.log else ""
    return (clean(".".join(parameter.path)), parameter.kind.value, clean(parameter.values), scale, count)


def _heading(found: Preview) -> str:
    if not found.trials:
        return "no trials to show"
    first = f"first {_count(len(found.trials), 'trial')}"
    if found.spec.options.seed is not None or found.n_configs == len(found.trials) or _is_ordered(found.spec):
        return first
    return f"{first}, with seed {found.seed} (the spec has none: each sweep draws its own)"


def _learns(spec: SweepSpec) -> bool:
    return spec.method in (Method.BAYES, Method.CUSTOM)


def _is_ordered(spec: SweepSpec) -> bool:
    return spec.method is Method.GRID and spec.options.grid_order == "wandb"
