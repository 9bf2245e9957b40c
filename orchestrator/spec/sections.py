"""`metric`, `metrics`, `early_terminate`, `scheduler`, `command`: W&B's sections beside `parameters`."""

import re
import shlex

from orchestrator.spec.cursor import Cursor
from orchestrator.spec.findings import near_miss, printable
from orchestrator.spec.model import EarlyTerminate, Goal, Metric, Patience, Scheduler

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
IMPUTE = ("worst", "best", "latest")
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

RULES = ("hyperband", "asha", "median")
ENGINES = ("wandb", "optuna", "ax")
_MACRO = re.compile(r"\$\{([^}]*)\}")


# ---- metric ----------------------------------------------------------------------------------------------------------


def read_metric(cursor: Cursor) -> Metric | None:
    """Return the sweep's metric."""
    if isinstance(cursor.value.data, str):
        cursor.warn(
            f"{cursor.shown} is a name, not a metric",
            hint="W&B ignores it",
            fix=f"{{name: {cursor.data}, goal: minimize}}",
        )
        return Metric(name=cursor.value.data)
    if not cursor.mapping("a mapping with `name` and `goal`"):
        return None
    cursor.unknown_keys(("name", "goal", "target", "impute", "impute_while_running"))
    at = cursor.get("name")
    name = at.text() if at else None
    if at is None or name == "":
        cursor.error("has no `name`", hint="the name that the program logs its objective under")
    goal = read_goal(cursor.at("goal")) if "goal" in cursor else Goal.MINIMIZE
    target = cursor.at("target").number() if cursor.get("target") else None
    impute = _impute(cursor, "impute", IMPUTE, "worst")
    running = _impute(cursor, "impute_while_running", ("false", *IMPUTE), "false")
    if not name or goal is None:
        return None
    return Metric(
        name=name,
        goal=goal,
        target=None if target is None else float(target),
        impute=impute,
        impute_while_running=running,
    )


def read_goal(cursor: Cursor) -> Goal | None:
    """Return the goal; a misspelt one that can only mean one thing is a warning, because W&B would minimise."""
    data = cursor.value.data
    if isinstance(data, str) and data in set(Goal):
        return Goal(data)
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


def _impute(cursor: Cursor, key: str, allowed: tuple[str, ...], default: str) -> str:
    if key not in cursor:
        return default
    at = cursor.at(key)
    if at.value.data in allowed:
        return str(at.value.data)
    word = str(at.data).lower()
    near = word if word in allowed else None
    at.warn(
        f"{at.shown} is not one of the strings {', '.join(allowed)}",
        hint=f"read as `{near or default}`; W&B ignores it",
        fix=f'{key}: "{near or default}"',
    )
    return near or default


# ---- early_terminate -------------------------------------------------------------------------------------------------


def read_early_terminate(cursor: Cursor) -> EarlyTerminate | None:
    """Return the rule that ends trials early."""
    if not cursor.mapping("a mapping with `type` and `min_iter`"):
        return None
    keys = ("type", "min_iter", "max_iter", "s", "eta", "strict", "percentile", "min_trials", "no_improvement")
    cursor.unknown_keys(keys)
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
    if None in integers.values() or eta is None or strict is None or percentile is None:
        return None
    if rule != "median" and not _has_bands(cursor, integers):
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
    )


def _has_bands(cursor: Cursor, given: dict[str, int | None]) -> bool:
    if "max_iter" in given and "s" in given:
        if "min_iter" in given:
            cursor.at("min_iter").warn("is not used: `max_iter` with `s` wins, as in W&B")
        return True
    if "min_iter" in given:
        return True
    missing = "`s`" if "max_iter" in given else "`min_iter`, or `max_iter` with `s`"
    cursor.error(f"has no {missing}", hint="hyperband needs to know after how many reports to judge", fix="min_iter: 3")
    return False


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


# ---- scheduler -------------------------------------------------------------------------------------------------------


def read_scheduler(cursor: Cursor) -> Scheduler | None:
    """Return the engine that chooses configs for ``method: custom``."""
    if not cursor.mapping("a mapping with `engine`"):
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
    return None if engine is None else Scheduler(engine=engine, **texts)


# ---- command ---------------------------------------------------------------------------------------------------------


def read_command(cursor: Cursor) -> tuple[str, ...] | None:
    """Return the command's items; None with an error when it cannot be read."""
    if isinstance(cursor.value.data, str):
        items = _split(cursor.value.data)
        shown = ", ".join(f'"{item}"' for item in items)
        cursor.warn(
            "is a string: W&B ignores it without a word", hint="write a list, one item per argument", fix=f"[{shown}]"
        )
        return tuple(items)
    elements = cursor.list_of("arguments")
    if elements is None:
        return None
    if not elements:
        cursor.error("is empty", hint="leave it out for the default: ${env} ${interpreter} ${program} ${args}")
        return None
    items = [_item(element) for element in elements]
    return tuple(items) if len(items) == len(elements) else None


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


def _check_macro(cursor: Cursor, text: str, name: str) -> None:
    macro = "${" + name + "}"
    if name.startswith("envvar:"):
        return
    if text != macro and not (text.startswith("${") and text.endswith("}")):
        cursor.warn(
            f"{printable(macro)} inside an item is not expanded",
            hint="W&B expands macros only where they are a whole item; ${args} passes every parameter",
        )
    elif text != macro:
        cursor.warn(f"{printable(text)!r} as one item expands to nothing", hint="write one macro per item")
    elif name not in MACROS:
        near = near_miss(name, MACROS)
        hint = f"did you mean ${{{near}}}?" if near else f"known: {', '.join(MACROS)}, envvar:NAME"
        cursor.warn(f"{printable(macro)} is no macro: it expands to nothing", hint=hint)
