"""The `orchestrator:` block: everything of ours, every key optional. W&B only warns about it."""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args

from orchestrator.spec import storage_urls
from orchestrator.spec.cursor import Cursor
from orchestrator.spec.findings import Severity, near_miss
from orchestrator.spec.model import (
    Budget,
    GridOrder,
    Json,
    ObjectiveValue,
    Options,
    PythonBy,
    Recipient,
    Resources,
    StopWhen,
    Switch,
    WandbMode,
)
from orchestrator.spec.sizes import parse_size
from orchestrator.spec.tree import Value

LARGEST_SEED = 2**63 - 1
SMALLEST = 1e-4
"""The unit that Ray counts resources in: of less than that a node would have room without end."""

SAMPLERS = ("gp", "random", "qmc", "tpe", "cmaes", "nsgaii", "nsgaiii", "gpsampler")
"""What `orchestrator.sampler` may name; a class name of Optuna's, such as ``TPESampler``, means the same."""


def canonical(sampler: str) -> str:
    """Return a sampler's name without its spelling: ``TPESampler``, ``tpe-sampler`` and ``TPE`` are ``tpe``."""
    bare = sampler.lower().replace("-", "").replace("_", "")
    return bare if bare == "gpsampler" else bare.removesuffix("sampler")


def read_options(cursor: Cursor) -> Options:
    """Return the block's options; a key that cannot be read keeps its default and is an error."""
    if not cursor.mapping("a mapping"):
        return Options()
    cursor.unknown_keys(READERS, severity=Severity.ERROR)
    fields: dict[str, Any] = {}
    for key, reader in READERS.items():
        at = cursor.get(key)
        if at is not None:
            fields |= {name: value for name, value in reader(at).items() if value is not None}
    return Options(**fields)


def _resources(cursor: Cursor) -> Resources | None:
    if not cursor.mapping("a mapping such as {gpu: 1, cpu: 4}"):
        return None
    cursor.unknown_keys(("gpu", "cpu", "memory", "custom"), severity=Severity.ERROR)
    gpu = _amount(cursor.at("gpu"), least=0.0) if cursor.get("gpu") else None
    cpu = _amount(cursor.at("cpu"), least=0.0) if cursor.get("cpu") else None
    if gpu is not None and gpu > 1 and not float(gpu).is_integer():
        cursor.at("gpu").error(f"{gpu:g} GPUs: a share of a GPU is below 1, more than one are whole")
        gpu = None
    return Resources(
        gpu=gpu,
        cpu=cpu,
        memory_bytes=_memory(cursor.at("memory")) if cursor.get("memory") else None,
        custom=_custom(cursor.at("custom")) if cursor.get("custom") else {},
    )


def _memory(cursor: Cursor) -> int | None:
    size = parse_size(cursor.value.data)
    if size is None:
        cursor.error(
            f"{cursor.shown} is not an amount of memory", hint="write 8GiB, 500MB or a number of bytes above 0"
        )
    return size


def _custom(cursor: Cursor) -> dict[str, float]:
    if not cursor.mapping("a mapping of Ray's custom resources"):
        return {}
    amounts = {key: _amount(cursor.at(key), least=SMALLEST) for key in cursor.names()}
    return {key: amount for key, amount in amounts.items() if amount is not None}


def _amount(cursor: Cursor, *, least: float) -> float | None:
    amount = cursor.number_above(least, inclusive=True)
    if amount is not None and 0 < amount < SMALLEST:
        cursor.error(f"{amount:g} is less than Ray can count", hint=f"the smallest share is {SMALLEST:g}")
        return None
    return None if amount is None else float(amount)


def _seed(cursor: Cursor) -> int | None:
    seed = cursor.integer(least=0)
    if seed is not None and seed > LARGEST_SEED:
        cursor.error(f"{seed} is too large", hint=f"a seed is at most {LARGEST_SEED}")
        return None
    return seed


def _timeout(cursor: Cursor) -> Mapping[str, Any]:
    if not cursor.is_map:
        return {"timeout_trial_s": cursor.duration_s()}
    cursor.unknown_keys(("trial", "sweep"), severity=Severity.ERROR)
    return {f"timeout_{key}_s": cursor.at(key).duration_s() for key in ("trial", "sweep") if cursor.get(key)}


def _budget(cursor: Cursor) -> Budget | None:
    if not cursor.mapping("a mapping such as {gpu_hours: 40} or {cost: 100, price: 2.5}"):
        return None
    keys = ("gpu_hours", "cost", "price")
    cursor.unknown_keys(keys, severity=Severity.ERROR)
    amounts = {key: cursor.at(key).number_above(0.0) for key in keys if cursor.get(key)}
    if "cost" in cursor and "price" not in cursor:
        cursor.error("has a `cost` and no `price`", hint="say what a GPU hour costs", fix="{cost: 100, price: 2.5}")
        return None
    return Budget(**{key: None if amount is None else float(amount) for key, amount in amounts.items()})


def _sampler(cursor: Cursor) -> Mapping[str, Any]:
    if not cursor.is_map:
        return {"sampler": _sampler_name(cursor)}
    cursor.unknown_keys(("name", "options"), severity=Severity.ERROR)
    if "name" not in cursor:
        cursor.error("has no `name`", fix="{name: tpe, options: {multivariate: true}}")
        return {}
    options = cursor.get("options")
    known = options.data if options is not None and options.mapping("a mapping of the sampler's arguments") else {}
    return {"sampler": _sampler_name(cursor.at("name")), "sampler_options": known}


def _sampler_name(cursor: Cursor) -> str | None:
    name = cursor.text()
    if name is None or canonical(name) in SAMPLERS:
        return name
    near = near_miss(canonical(name), SAMPLERS)
    hint = (f"did you mean `{near}`? " if near else "") + f"allowed: {', '.join(SAMPLERS)}"
    cursor.error(f"{cursor.shown} is not a sampler", hint=hint)
    return None


def _configs(cursor: Cursor) -> tuple[Mapping[str, Json], ...] | None:
    elements = cursor.list_of("configs")
    if elements is None:
        return None
    return tuple(element.data for element in elements if element.mapping("a config: a mapping of parameter values"))


def _conditions(cursor: Cursor) -> tuple[StopWhen, ...] | None:
    allowed = get_args(StopWhen)
    if cursor.value.data in {"never", False}:
        return ()
    if cursor.value.elements is None:
        # YAML reads an unquoted nan as a string, but `.nan` as a float
        one = cursor.choice(allowed)
        return None if one is None else (one,)
    chosen = [element.choice(allowed) for element in cursor.elements()]
    return tuple(condition for condition in chosen if condition is not None)


def _stop(cursor: Cursor) -> dict[str, float] | None:
    if not cursor.mapping("a mapping such as {training_iteration: 20, time_total_s: 600, accuracy: 0.99}"):
        return None
    if not cursor.names():
        cursor.error(
            "has no limit",
            hint="name a metric, training_iteration or time_total_s and a value",
            fix="{training_iteration: 20}",
        )
    limits = {name: cursor.at(name).number() for name in cursor.names()}
    for name in ("training_iteration", "time_total_s"):
        limit = limits.get(name)
        if limit is not None and limit <= 0:
            cursor.at(name).error(f"{cursor.at(name).shown} is not greater than 0")
    return {name: float(limit) for name, limit in limits.items() if limit is not None}


def _names(cursor: Cursor) -> tuple[str, ...] | None:
    elements = cursor.list_of("module names")
    if elements is None:
        return None
    names = [element.text() for element in elements]
    return tuple(name for name in names if name is not None)


def _python(cursor: Cursor) -> str | PythonBy | None:
    if not cursor.is_map:
        return cursor.text()
    if "by" not in cursor:
        cursor.error("has no `by`", hint="name the parameter that decides", fix="{by: framework, torch: .venv-torch}")
        return None
    parameter = cursor.at("by").text()
    paths = {name: cursor.at(name).text() for name in cursor.names() if name != "by"}
    if parameter is None or None in paths.values():
        return None
    return PythonBy(parameter=parameter, paths={name: path for name, path in paths.items() if path is not None})


def _storage(cursor: Cursor) -> str | None:
    url = cursor.text()
    if url is None:
        return None
    wrong = storage_urls.fault(url)
    if wrong is None:
        return url.rstrip("/")
    # a message that quotes the line would tell a secret
    unsaid = replace(cursor, value=replace(cursor.value, mark=None, keys={}))
    unsaid.error(wrong, fix="s3://my-bucket/sweeps")
    return None


_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}|@.+")
"""Where a URL is to be found."""


def _notify(cursor: Cursor) -> tuple[Recipient, ...]:
    each = list(cursor.elements()) if cursor.value.elements is not None else [cursor]
    return tuple(recipient for one in each if (recipient := _recipient(one)) is not None)


def _recipient(cursor: Cursor) -> Recipient | None:
    data = cursor.value.data
    if data == "bell":
        return Recipient()
    if isinstance(data, str) and _REFERENCE.fullmatch(data):
        return Recipient(url=data)
    # a message that quotes the line would tell a secret, its own or that of the item beside it
    unsaid = replace(cursor, value=_unplaced(cursor.value))
    if cursor.is_map and "command" in cursor:
        if cursor.names() != ["command"]:
            unsaid.unknown_keys(("command",), severity=Severity.ERROR)
            return None
        words = _words(unsaid.at("command"))
        return Recipient(command=words) if words else None
    if isinstance(data, str) and "://" in data:
        unsaid.error(
            "is a URL, which holds a secret, while a spec is kept with its sweep",
            hint="put the URL into a variable or a file of yours, and name that here",
            fix="[bell, '${NTFY_URL}', '@~/.config/sweep-notify']",
        )
        return None
    unsaid.error(
        "is none of: bell, '${NAME}' (a variable with a URL of apprise's), '@FILE' (a file with such), {command: ...}",
        fix="[bell, '${NTFY_URL}', {command: notify-send sweep}]",
    )
    return None


def _unplaced(value: Value) -> Value:
    """A value that does not say where it stands, nor do its parts."""
    items = None if value.items is None else {key: _unplaced(each) for key, each in value.items.items()}
    elements = None if value.elements is None else [_unplaced(each) for each in value.elements]
    return replace(value, mark=None, keys={}, items=items, elements=elements)


def _words(cursor: Cursor) -> tuple[str, ...] | None:
    """A command's words: as a list, or as a text that is split as a shell would, which is not asked."""
    if cursor.value.elements is not None:
        words = [element.text() for element in cursor.elements()]
        found = [word for word in words if word is not None]
    else:
        text = cursor.text() or ""
        try:
            found = shlex.split(text)
        except ValueError as error:
            cursor.error(f"{cursor.shown} cannot be split into words: {error}")
            return None
    if not found:
        cursor.error("names no program", fix="{command: notify-send sweep}")
    return tuple(found)


def _wandb(cursor: Cursor) -> Mapping[str, Any]:
    if cursor.value.data is False:
        return {"wandb": "off"}  # YAML 1.1 reads `off` as false
    return {"wandb": cursor.choice(get_args(WandbMode))}


def _on_off(cursor: Cursor) -> Switch | None:
    if isinstance(cursor.value.data, bool):
        return "on" if cursor.value.data else "off"
    return cursor.choice(get_args(Switch))


READERS: Mapping[str, Callable[[Cursor], Mapping[str, Any]]] = {
    "resources": lambda at: {"resources": _resources(at)},
    "concurrency": lambda at: {"concurrency": at.integer(least=1)},
    "seed": lambda at: {"seed": _seed(at)},
    "retries": lambda at: {"retries": at.integer(least=0)},
    "objective": lambda at: {"objective": at.choice(get_args(ObjectiveValue))},
    "timeout": _timeout,
    "budget": lambda at: {"budget": _budget(at)},
    "grace": lambda at: {"grace_s": at.duration_s()},
    "sampler": _sampler,
    "grid_order": lambda at: {"grid_order": at.choice(get_args(GridOrder))},
    "first": lambda at: {"first": _configs(at)},
    "allow_repeats": lambda at: {"allow_repeats": at.boolean()},
    "stop_when": lambda at: {"stop_when": _conditions(at)},
    "stop": lambda at: {"stop": _stop(at)},
    "preload": lambda at: {"preload": _names(at)},
    "python": lambda at: {"python": _python(at)},
    "notify": lambda at: {"notify": _notify(at)},
    "storage": lambda at: {"storage": _storage(at)},
    "wandb": _wandb,
    "gradients": lambda at: {"gradients": _on_off(at)},
}
"""Every key of the block, and what makes fields of `Options` of it."""
