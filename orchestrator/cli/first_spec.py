"""The first spec of a script, as text for people: every parameter with why it is there, and what may be added."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from orchestrator.arguments.model import Arguments, Style
from orchestrator.arguments.suggesting import CHANGE_ME, Suggestion
from orchestrator.printable import clean

MOST_REMARKS = 12
"""Arguments that are shown as remarks."""

TRIALS_EACH = 10
"""Trials per parameter that is tuned, for a first look."""

UP = re.compile(
    r"acc|f1|auc|(^|[_/.])m?ap($|[_/.@])|iou|bleu|rouge|(^|[_/.])r2|reward|return|score|precision|recall|psnr|ssim|success|win"
)
DOWN = re.compile(r"loss|err|perplexity|ppl|rmse|mae|mse|wer|cer|nll|fid|regret|cost|latency|distance|elbo")
HELD_OUT = re.compile(r"val|eval|dev|test")
NO_METRIC = re.compile(
    r"(^|[_/.])(epoch|step|iter|iteration|lr|learning_rate|time|seconds|grad_norm|memory|gpu|fps|throughput)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMetric:
    """A metric that a trial reported; `sure` where its name says which way is better."""

    name: str
    goal: str
    sure: bool
    others: tuple[str, ...] = ()


def likely_metric(names: Sequence[str]) -> FoundMetric | None:
    """Return what a script most likely wants to be good at, by the names that it reports."""
    usable = [name for name in names if not NO_METRIC.search(name.lower())]
    if not usable:
        return None

    def merit(name: str) -> tuple[bool, bool, bool]:
        plain = name.lower()
        return (not HELD_OUT.search(plain), not UP.search(plain), not DOWN.search(plain))

    best = min(usable, key=merit)
    plain = best.lower()
    goes_down = bool(DOWN.search(plain)) or not UP.search(plain)
    others = tuple(name for name in usable if name != best)
    sure = bool(DOWN.search(plain)) != bool(UP.search(plain))
    return FoundMetric(name=best, goal="minimize" if goes_down else "maximize", sure=sure, others=others)


def command_of(arguments: Arguments | None) -> list[str] | None:
    """Return the `command` of a script whose arguments are not W&B's default ones; None for the default."""
    if arguments is None:
        return None
    needed = [CHANGE_ME for argument in arguments.known if not argument.options and argument.required]
    macro = "${args_no_hyphens}" if arguments.style is Style.ASSIGNMENTS else "${args}"
    words = [*arguments.needs_word[:1], *needed]
    if not words and macro == "${args}":
        return None
    return ["${env}", "${interpreter}", "${program}", *words, macro]


def spec_text(
    program: str,
    *,
    suggestions: Sequence[Suggestion] = (),
    parameters: Mapping[str, Any] | None = None,
    arguments: Arguments | None = None,
    metric: FoundMetric | None = None,
    asked: tuple[str, str] | None = None,
    n_rows: int = 0,
) -> str:
    """Return a spec as YAML.

    Args:
        program: The script, as trials are to find it.
        suggestions: What its arguments say.
        parameters: A `parameters` block instead of them.
        arguments: How the script is given its arguments.
        metric: What a trial reported; None where nothing is known.
        asked: Name and goal of a metric that the user named.
        n_rows: How often the trial reported the metric.
    """
    tuned = [each for each in suggestions if each.is_tuned]
    n_tuned = sum(each.varies for each in tuned) or sum("value" not in each for each in (parameters or {}).values())
    lines = [f"program: {_plain(program)}", *_command(arguments), ""]
    lines += _metric(metric, asked)
    lines += [
        f"run_cap: {max(20, TRIALS_EACH * n_tuned)}  # trials, for a first look; `sweep resume --add N` adds some",
        "",
        "parameters:",
    ]
    if parameters is not None:
        lines += [f"  {line}" for line in _block(parameters).splitlines()]
    else:
        lines += _rows(tuned, "  ")
        rest = [each for each in suggestions if not each.is_tuned]
        lines += ["  # May be tuned too: take away the # and set the range."] if rest else []
        lines += _rows(rest[:MOST_REMARKS], "  # ")
    return "\n".join([*lines, *_more(n_rows)]) + "\n"


def _command(arguments: Arguments | None) -> list[str]:
    command = command_of(arguments)
    if command is None:
        return []
    assert arguments is not None
    said = f"  # {arguments.library} takes its arguments like this"
    return [f"command: {json.dumps(command)}{said}"]


def _metric(metric: FoundMetric | None, asked: tuple[str, str] | None) -> list[str]:
    if asked is not None:
        return ["method: bayes", f"metric: {{name: {_plain(asked[0])}, goal: {asked[1]}}}"]
    if metric is None:
        return [
            "method: random  # bayes learns from results, and needs a metric",
            "# metric: {name: loss, goal: minimize}  # what the script logs: wandb.log, TensorBoard, orchestrator.report",
        ]
    others = f"; it also reports {', '.join(map(clean, metric.others[:6]))}" if metric.others else ""
    unsure = "" if metric.sure else "; is lower better? else write maximize"
    why = f"{unsure}{others}".removeprefix("; ")
    return [
        "method: bayes  # learns from results; also: random, grid",
        f"metric: {{name: {_plain(metric.name)}, goal: {metric.goal}}}" + (f"  # {why}" if why else ""),
    ]


def _rows(suggestions: Sequence[Suggestion], indent: str) -> list[str]:
    return [
        f"{indent}{_plain(each.name)}: {_flow(each.range)}" + (f"  # {clean(each.why)}" if each.why else "")
        for each in suggestions
    ]


def _more(n_rows: int) -> list[str]:
    rules = (
        [
            "",
            "# Ends the weaker trials early: the script reports often enough.",
            "# early_terminate: {type: hyperband, min_iter: 3}",
        ]
        if n_rows >= 6
        else []
    )
    return [
        *rules,
        "",
        "# orchestrator:",
        "#   resources: {gpu: 1, cpu: 4}  # of one trial; without it one GPU where there are GPUs, else one CPU",
        "#   retries: 1  # own failures that are forgiven per trial",
        "#   timeout: {trial: 2h}",
    ]


def _plain(text: str) -> str:
    return str(yaml.safe_dump(text, default_flow_style=True, width=10_000, allow_unicode=True)).partition("\n")[0]


def _flow(value: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(dict(value), default_flow_style=True, sort_keys=False, width=10_000)).strip()


def _block(value: Mapping[str, Any]) -> str:
    return "".join(
        f"{_plain(name)}: {_flow(each)}\n"
        if "parameters" not in each
        else f"{_plain(name)}:\n  parameters:\n"
        + "".join(f"    {line}\n" for line in _block(each["parameters"]).splitlines())
        for name, each in value.items()
    )
