"""`metric`, `metrics`, `early_terminate`, `scheduler`, `command`: W&B's sections beside `parameters`."""

import json
import re
import shlex
from dataclasses import replace
from typing import Any, get_args

import yaml

from orchestrator.spec.cursor import Cursor
from orchestrator.spec.findings import LONGEST, Severity, Word, near_miss
from orchestrator.spec.model import (
    EarlyTerminate,
    Engine,
    Goal,
    Impute,
    ImputeRunning,
    Metric,
    Patience,
    Rule,
    Scheduler,
)
from orchestrator.spec.tree import from_data

GOAL_WORDS = {
    "min": Goal.MINIMIZE,
    "minimise": Goal.MINIMIZE,
    "minimum": Goal.MINIMIZE,
    "minimization": Goal.MINIMIZE,
    "max": Goal.MAXIMIZE,
    "maximise": Goal.MAXIMIZE,
    "maximum": Goal.MAXIMIZE,
    "maximization": Goal.MAXIMIZE,
}
METRIC_KEYS = ("name", "goal", "target", "impute", "impute_while_running")
METRIC_SYNONYMS = dict.fromkeys(("direction", "mode", "type", "objective", "order"), "did you mean `goal`?")
IMPUTE: tuple[Impute, ...] = get_args(Impute)
MACROS = (
    "env",
    "interpreter",
    "program",
    "args",
    "args_no_equals",
    "args_no_hyphens",
    "args_no_boolean_flags",
    "args_append_hydra",
    "args_override_hydra",
    "args_json",
    "args_json_file",
    "args_dict",
)
"""What an item of `command` may be, as ``${name}``; ``${envvar:NAME}`` may also stand inside an item."""

RULES: tuple[Rule, ...] = get_args(Rule)
ENGINES: tuple[Engine, ...] = get_args(Engine)
UNREAD = {"wandb": ("optimizer", "search_space"), "ax": ("search_space",)}
"""Keys of `scheduler` that an engine does not look at."""

UNREAD_HINT = (
    "a study or space of your own needs `method: custom` with `engine: optuna`, a client of your own `engine: ax`"
)
LAUNCH_KEYS = {"job", "resource", "resource_args", "docker_image", "num_workers", "settings", "template_variables"}
"""What ``wandb launch-sweep`` takes under `scheduler`: another thing by the same name."""

_LAUNCHER = re.compile(
    r"(?:.*/)?(?:env|python[\d.]*|bash|sh|accelerate|torchrun|deepspeed|srun|mpirun|mpiexec|conda|mamba|poetry|pipenv|uv|"
    r"pdm|nice|numactl|xvfb-run|docker|singularity|apptainer|\w+\.py|[A-Z_]+=\S*)"
)
"""What begins a command line within an item."""

_OPTIONS = re.compile(r"-{1,2}[A-Za-z][\w.-]*(?:\s+\S|=\S*\s+--?[A-Za-z])")
"""An option with its value behind a space, or two options, in one item."""

_SCRIPT_TEXT_NEXT = re.compile(r"-[a-z]*c")
"""What tells a shell or Python that the next item is to be run: ``bash -c "..."``."""

_SHELL = frozenset({"&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1", "2>", "&>"})
_MAPPING = re.compile(r"^\s*\{|:\s")
_ENVVAR = re.compile(r"envvar:[A-Z0-9_]*")
_MACRO = re.compile(r"\$\{([^{}]*)\}")


def read_metric(cursor: Cursor) -> Metric | None:
    """Return the sweep's metric."""
    if isinstance(cursor.value.data, str):
        quoted = _in_quotes(cursor.value.data)
        if quoted is not None:
            cursor.warn(
                f"{cursor.shown} is a string: a mapping in quotes",
                hint="W&B ignores it; here it is read as the mapping. Remove the quotes",
                fix=f"metric: {json.dumps(quoted, ensure_ascii=False)}",
            )
            return read_metric(replace(cursor, value=from_data(quoted)))
        cursor.warn(
            f"{cursor.shown} is a name, not a metric",
            hint="W&B ignores it",
            fix=f"metric: {{name: {json.dumps(cursor.data)}, goal: minimize}}",
        )
        return Metric(name=cursor.value.data)
    if not cursor.mapping("a mapping with `name` and `goal`"):
        return None
    near = [key for key in cursor.names() if key not in METRIC_KEYS and near_miss(key, METRIC_KEYS) == "name"]
    lacks_name = not cursor.get("name")
    weight = Severity.ERROR if lacks_name and near else Severity.WARNING
    cursor.unknown_keys(METRIC_KEYS, severity=weight, hints=METRIC_SYNONYMS)
    name = cursor.at("name").text() if not lacks_name else None
    if (lacks_name and not near) or name == "":
        cursor.error("has no `name`", hint="the name that the program logs its objective under")
    goal = read_goal(cursor.at("goal")) if "goal" in cursor else Goal.MINIMIZE
    target = cursor.at("target").number() if cursor.get("target") else None
    impute = _impute(cursor, "impute", IMPUTE, "worst")
    running: ImputeRunning = _impute(cursor, "impute_while_running", get_args(ImputeRunning), "false") or "false"
    if not name or goal is None:
        return None
    return Metric(
        name=name,
        goal=goal,
        target=None if target is None else float(target),
        impute=impute,
        impute_while_running=running,
    )


def _in_quotes(text: str) -> dict[str, Any] | None:
    """Return the mapping that a string holds; None when it is just a string."""
    if len(text) > LONGEST or not _MAPPING.search(text):
        return None
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return data if isinstance(data, dict) and set(data) & {"name", "goal"} else None


def read_goal(cursor: Cursor) -> Goal | None:
    """Return the goal; a misspelt one that can only mean one thing is a warning, because W&B would minimise."""
    data = cursor.value.data
    if isinstance(data, str) and data in set(Goal):
        return Goal(data)
    if cursor.is_null:
        cursor.warn("is empty", hint="W&B would silently minimize", fix="goal: minimize")
        return Goal.MINIMIZE
    word = data.strip().lower() if isinstance(data, str) else ""
    meant = GOAL_WORDS.get(word) or near_miss(word, list(Goal))
    if meant is None:
        cursor.error(f"{cursor.shown} is not a goal", hint="allowed: minimize, maximize; W&B would silently minimize")
        return None
    cursor.warn(
        f"{cursor.shown} is not how W&B spells it", hint="W&B would silently minimize", fix=f"goal: {Goal(meant).value}"
    )
    return Goal(meant)


def read_metrics(cursor: Cursor) -> tuple[Metric, ...]:
    """Return the metrics of a multi-objective sweep."""
    elements = cursor.list_of("metrics")
    if elements is None:
        return ()
    if len(elements) < 2:
        cursor.error("has fewer than two entries", hint="use `metric` for one objective")
        return ()
    metrics = [read_metric(element) for element in elements]
    return tuple(metric for metric in metrics if metric is not None)


def read_misnamed_metric(cursor: Cursor) -> Metric | None:
    """Return the sweep's metric where it is called `metrics`."""
    cursor.warn(
        "is one metric: did you mean `metric`?",
        hint="W&B knows no metric then, and `metrics` is a list of several; here it is read as `metric`",
    )
    return read_metric(cursor)


def _impute(cursor: Cursor, key: str, allowed: tuple[Word, ...], default: Word) -> Word | None:
    if key not in cursor:
        return None
    at = cursor.at(key)
    if at.value.data in allowed:
        return allowed[allowed.index(at.value.data)]
    meant = near_miss(str(at.data), allowed) or default
    at.warn(
        f"{at.shown} is not one of the strings {', '.join(allowed)}",
        hint=f"read as `{meant}`; W&B ignores it, or fails on it",
        fix=f'{key}: "{meant}"' if meant == "false" else f"{key}: {meant}",
    )
    return meant


EARLY_SYNONYMS = {
    "max_epochs": "did you mean `max_iter`, with `s`?",
    "min_epochs": "did you mean `min_iter`?",
    "grace_period": "did you mean `min_iter`?",
    "reduction_factor": "did you mean `eta`?",
    "brackets": "did you mean `s`?",
    "patience": "did you mean `no_improvement: {after: ...}`?",
    "metric": "the sweep's `metric` is judged",
}


def read_early_terminate(cursor: Cursor) -> EarlyTerminate | None:
    """Return the rule that ends trials early."""
    if not cursor.mapping("a mapping with `type` and `min_iter`"):
        return None
    keys = ("type", "min_iter", "max_iter", "s", "eta", "strict", "percentile", "min_trials", "no_improvement", "max_t")
    cursor.unknown_keys(keys, hints=EARLY_SYNONYMS)
    if "type" not in cursor:
        cursor.error("has no `type`", fix="type: hyperband")
        return None
    rule = cursor.at("type").choice(RULES)
    if rule is None:
        return None
    integers = {
        key: cursor.at(key).integer(least=1) for key in ("min_iter", "max_iter", "s", "min_trials") if cursor.get(key)
    }
    eta = cursor.at("eta").number_above(1.0) if cursor.get("eta") else 3.0
    strict = cursor.at("strict").boolean() if cursor.get("strict") else True
    percentile = cursor.at("percentile").number_above(0.0) if cursor.get("percentile") else 50.0
    patience = _patience(cursor)
    max_t = _max_t(cursor, rule, integers) if cursor.get("max_t") else None
    if None in integers.values() or eta is None or strict is None or percentile is None:
        return None
    if rule != "median" and not _has_bands(cursor, rule, integers, float(eta)):
        return None
    if percentile >= 100:
        cursor.at("percentile").error(f"{percentile:g} is not below 100")
        return None
    return EarlyTerminate(
        type=rule,
        min_iter=integers.get("min_iter"),
        max_iter=integers.get("max_iter"),
        s=integers.get("s"),
        eta=float(eta),
        strict=strict,
        percentile=float(percentile),
        min_trials=integers.get("min_trials") or 3,
        no_improvement=patience,
        max_t=max_t,
    )


def _max_t(cursor: Cursor, rule: str, integers: dict[str, int | None]) -> int | None:
    """Return after how many reports a trial has finished; like Tune's, asha then begins to judge at the first."""
    at = cursor.at("max_t")
    if rule != "asha":
        at.error(
            f"belongs to asha, not to {rule}",
            hint="orchestrator.stop: {training_iteration: ...} ends every trial there",
        )
        return None
    most = at.integer(least=1)
    if "max_iter" not in integers:
        first = integers.setdefault("min_iter", 1)
        if first is not None and most is not None and first > most:
            at.error(f"{most} is less than min_iter, which is {first}", hint="no trial would ever be judged")
    return most


def _has_bands(cursor: Cursor, rule: str, given: dict[str, int | None], eta: float) -> bool:
    """Return whether there are rungs; what is given and not used is a warning."""
    max_iter, min_iter = given.get("max_iter"), given.get("min_iter")
    if max_iter is not None and "s" in given:
        if min_iter is not None:
            cursor.at("min_iter").warn("is not used: `max_iter` with `s` wins, as in W&B")
        if max_iter / eta < 1:
            hint = f"trials are judged after max_iter / eta reports, which is {max_iter / eta:.3g}"
            cursor.at("max_iter").error(f"{max_iter} is less than eta", hint=hint)
        return max_iter / eta >= 1
    if min_iter is None:
        _no_bands(cursor, rule)
        return False
    if max_iter is not None:
        hint = f"W&B's engine needs both and ends no trial at all; here trials are judged after {_rungs(min_iter, eta)}"
        cursor.at("max_iter").warn("is not used without `s`", hint=hint, fix="s: 2")
    elif "s" in given:
        hint = f"as in W&B, `min_iter` alone decides: trials are judged after {_rungs(min_iter, eta)}"
        cursor.at("s").warn("is not used without `max_iter`", hint=hint)
    return True


def _rungs(min_iter: int, eta: float) -> str:
    rungs = [min_iter * eta ** (i if eta < 1000 else 0) for i in range(4)]
    return ", ".join(dict.fromkeys(f"{rung:.0f}" for rung in rungs)) + ", ... reports"


def _no_bands(cursor: Cursor, rule: str) -> None:
    """File that nothing says when trials are judged: W&B warns of it, and runs the sweep without ending any."""
    ours = rule != "hyperband"
    hint = "" if ours else ": as in W&B, no trial is ended early"
    hint = f"nothing says after how many reports a trial is judged{hint}"
    given = next((key for key in ("max_iter", "s") if cursor.get(key)), None)
    other = {"max_iter": "s", "s": "max_iter"}.get(given or "")
    message = "has no `min_iter`, or `max_iter` with `s`" if other is None else f"is not used without `{other}`"
    at = cursor if given is None else cursor.at(given)
    at.file(
        Severity.ERROR if ours else Severity.WARNING,
        message,
        hint=hint,
        fix={"s": "s: 2", "max_iter": "max_iter: 27"}.get(other or "", "min_iter: 3"),
    )


def _patience(cursor: Cursor) -> Patience | None:
    at = cursor.get("no_improvement")
    if at is None or not at.mapping("a mapping with `after`"):
        return None
    at.unknown_keys(("after", "min_delta"))
    if "after" not in at:
        at.error("has no `after`", hint="the number of reports without improvement", fix="after: 5")
        return None
    after = at.at("after").integer(least=1)
    delta = at.at("min_delta").number_above(0.0, inclusive=True) if at.get("min_delta") else 0.0
    return None if after is None or delta is None else Patience(after=after, min_delta=float(delta))


def read_scheduler(cursor: Cursor) -> Scheduler | None:
    """Return the engine that chooses configs for ``method: custom``."""
    if not cursor.mapping("a mapping with `engine`"):
        return None
    if "engine" not in cursor and LAUNCH_KEYS & set(cursor.names()):
        cursor.warn("is that of `wandb launch-sweep`: it is ignored here")
        return None
    cursor.unknown_keys(("engine", "source", "optimizer", "search_space"))
    if "engine" not in cursor:
        cursor.error("has no `engine`", hint=f"allowed: {', '.join(ENGINES)}")
        return None
    engine = cursor.at("engine").choice(ENGINES)
    texts = {key: cursor.at(key).text() for key in ("source", "optimizer", "search_space") if cursor.get(key)}
    for key in ("optimizer", "search_space"):
        if key in texts and "source" not in texts:
            cursor.at(key).error("needs `source`: the file that it is defined in")
    for key in UNREAD.get(engine or "", ()):
        if key in texts:
            cursor.at(key).warn(f"has no effect: engine {engine} ignores it, as in W&B", hint=UNREAD_HINT)
    return None if engine is None else Scheduler(engine=engine, **texts)


def brings_space(scheduler: Scheduler) -> bool:
    """Return whether the scheduler's own code may define the parameters, so that the spec need not."""
    if scheduler.engine == "optuna":
        return bool(scheduler.search_space)
    return scheduler.engine == "ax" and bool(scheduler.optimizer)


def read_command(cursor: Cursor) -> tuple[str, ...] | None:
    """Return the command's items; None with an error when it cannot be read."""
    if isinstance(cursor.value.data, str):
        items = _split(cursor.value.data)
        shown = ", ".join(json.dumps(item, ensure_ascii=False) for item in items)
        cursor.warn(
            "is a string: W&B ignores it without a word",
            hint="write a list, one item per argument",
            fix=f"command: [{shown}]",
        )
        return tuple(items) or None
    elements = cursor.list_of("arguments")
    if elements is None:
        return None
    if not elements:
        cursor.error("is empty", hint="leave it out for the default: ${env} ${interpreter} ${program} ${args}")
        return None
    arguments = tuple(_item(element) for element in elements)
    for i, element in enumerate(elements):
        if not (i and _SCRIPT_TEXT_NEXT.fullmatch(arguments[i - 1])):
            _check_words(element, arguments[i], is_first=i == 0)
    return arguments


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _item(cursor: Cursor) -> str:
    data = cursor.value.data
    if cursor.value.elements is not None or cursor.is_map or data is None:
        cursor.error(f"{cursor.shown} is not an argument", hint="an item of `command` is one argument, a string")
        return ""
    text = str(data)
    for name in _MACRO.findall(text):
        _check_macro(cursor, text, name)
    return text


def _check_words(cursor: Cursor, text: str, *, is_first: bool) -> None:
    """Warn of what a shell would take apart or replace: there is none, each item is one argument as it is."""
    if "${" in text or len(text) > LONGEST:
        return
    words = _split(text)
    if len(words) > 1 and (is_first or _LAUNCHER.fullmatch(words[0]) or _OPTIONS.match(text)):
        shown = ", ".join(json.dumps(word, ensure_ascii=False) for word in words)
        hint = "each item of `command` is one argument, spaces and all: write one item per word"
        cursor.warn(f"{cursor.shown} is passed as one argument", hint=hint, fix=shown)
    elif text.startswith("~"):
        warn_of_home(cursor)
    elif text in _SHELL or re.match(r"\$\w|\$\(|`", text):
        hint = "no shell reads a command; write ${envvar:NAME} for a variable, or command: [bash, -c, '...']"
        cursor.warn(f"{cursor.shown} is passed as it stands", hint=hint)


def warn_of_home(cursor: Cursor) -> None:
    """Warn of a path whose ``~`` nothing replaces."""
    path = str(cursor.data)
    cursor.warn(
        f"{cursor.shown}: nothing replaces the ~, as no shell reads it",
        hint="W&B does not either; in a `command`, ${envvar:HOME} is replaced",
        fix=f"/home/YOU/{path[2:]}" if path.startswith("~/") else None,
    )


def _check_macro(cursor: Cursor, text: str, name: str) -> None:
    macro = "${" + name + "}"
    if _ENVVAR.fullmatch(name):
        return
    if name.startswith("envvar:"):
        cursor.warn(f"{macro} is not expanded", hint="W&B takes names of A-Z, 0-9 and _ only")
    elif text != macro and not (text.startswith("${") and text.endswith("}")):
        cursor.warn(
            f"{macro} inside an item is not expanded",
            hint="W&B expands macros only where they are a whole item; ${args} passes every parameter",
        )
    elif text != macro:
        cursor.warn(f"{text!r} as one item expands to nothing", hint="write one macro per item")
    elif name == "args_dict":
        cursor.warn("${args_dict} expands to the parameters' names alone", hint="did you mean ${args} or ${args_json}?")
    elif name not in MACROS:
        near = near_miss(name, MACROS)
        hint = f"did you mean ${{{near}}}? " if near else ""
        cursor.warn(
            f"{macro} is no macro: it expands to nothing", hint=f"{hint}known: {', '.join(MACROS)}, envvar:NAME"
        )
