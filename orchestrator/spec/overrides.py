"""`--set KEY=VALUE`: change any key of a spec, or fix a parameter, by its dotted location, before it is read.

What is a key of specs is that key. A parameter that is called like one is ``parameters.NAME={value: ...}``.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from orchestrator.spec.cursor import Cursor
from orchestrator.spec.findings import MAX_SHOWN, Findings, Mark, SpecError, near_miss, printable
from orchestrator.spec.tree import Value, parse

_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")


def parse_settings(settings: list[str]) -> dict[str, str]:
    """Return ``KEY=VALUE`` texts as a mapping.

    Raises:
        SpecError: One has no ``=`` or no key.
    """
    pairs: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise SpecError(
                f"--set {setting!r} is not KEY=VALUE\n  For example: --set run_cap=10 --set lr=0.1 --set parameters.lr.max=0.1"
            )
        pairs[key.strip()] = value
    return pairs


def setting_value(key: str, text: str) -> Value:
    """Return the tree of a value from the command line: YAML, but ``1e-3`` is a number.

    Raises:
        SpecError: The text is no YAML value.
    """
    findings = Findings(path=f"--set {key}")
    if _FLOAT.fullmatch(text.strip()):
        return Value(None, data=float(text))
    tree = parse(text, findings) if text.strip() else Value(None)
    found = findings.sorted()
    if tree is None or found:
        raise SpecError(f"--set {printable(key)}={printable(text)}: {found[0].message}", found)
    return tree


def apply(root: Cursor, overrides: Mapping[str, str], keys: Collection[str]) -> None:
    """Write each override into the tree; findings about it then point at the option.

    Args:
        root: The spec.
        overrides: Values as text by dotted key, or by a parameter's name, which is fixed to it.
        keys: What the spec may have at its top.
    """
    leaves = dict(_leaves(root.at("parameters").value, "")) if "parameters" in root else {}
    for key, text in overrides.items():
        value = _marked(setting_value(key, text), Mark(0, 0, f"--set {key}"))
        head = key.partition(".")[0]
        if head in keys or head in root:
            _write(root.value, key.split("."), value)
        elif key in leaves:
            holder, name = leaves[key]
            _write(holder, [name], Value(value.mark, items={"value": value}, keys={"value": value.mark}))
        else:
            _refuse(root, key, value, [*leaves, *keys])
    if "parameters" in root:
        _refuse_unknown(root.at("parameters"))


def _leaves(parameters: Value, prefix: str) -> Iterator[tuple[str, tuple[Value, str]]]:
    """The parameters by their dotted names: the mapping that each stands in, and its name there."""
    for name, parameter in (parameters.items or {}).items():
        inside = (parameter.items or {}).get("parameters")
        if inside is None:
            yield prefix + name, (parameters, name)
        else:
            yield from _leaves(inside, f"{prefix}{name}.")


def _refuse(root: Cursor, key: str, value: Value, known: Collection[str]) -> None:
    """File what is neither a parameter nor a key of specs; the tree stays as it is."""
    _write(root.value, [key], value)
    near = near_miss(key, known)
    hint = f"did you mean `{near}`?" if near else f"its parameters are {', '.join([*known][:MAX_SHOWN])}"
    root.at_key(key).error("the spec has no such parameter, nor is it a key of specs", hint=hint)
    assert root.value.items is not None
    del root.value.items[key]


def _refuse_unknown(parameters: Cursor) -> None:
    """File a misspelt parameter as such, and drop what the option made of it: one that is new and not complete."""
    if not parameters.is_map:
        return
    keys = parameters.value.keys
    made = [name for name in parameters.names() if (mark := keys.get(name)) and mark.option]
    known = [name for name in parameters.names() if name not in made]
    for name in known:
        if "parameters" in parameters.at(name):
            _refuse_unknown(parameters.at(name).at("parameters"))
    for name in made:
        if _is_complete(parameters.at(name)):
            continue
        near = near_miss(name, known)
        hint = f"did you mean `{near}`?" if near else f"its parameters are {', '.join(known[:MAX_SHOWN])}"
        parameters.at_key(name).error("the spec has no such parameter", hint=hint)
        assert parameters.value.items is not None
        del parameters.value.items[name]


def _is_complete(parameter: Cursor) -> bool:
    """Whether somebody who adds a parameter could mean this; what is no mapping is complained about elsewhere."""
    alone = ("value", "values", "distribution", "parameters")
    return not parameter.is_map or any(key in parameter for key in alone) or ("min" in parameter and "max" in parameter)


def _write(tree: Value, path: list[str], value: Value) -> None:
    """Follow the longest existing keys first: a parameter's own name may have dots."""
    assert tree.items is not None
    for length in range(len(path), 0, -1):
        key = ".".join(path[:length])
        child = tree.items.get(key)
        if length == len(path) and (child is not None or length == 1):
            break
        if child is not None and child.items is not None:
            _write(child, path[length:], value)
            return
    else:
        key = path[0]
        if len(path) > 1:
            inside = Value(value.mark, items={})
            tree.items[key] = inside
            tree.keys[key] = value.mark
            _write(inside, path[1:], value)
            return
    if key not in tree.items:
        tree.keys[key] = value.mark  # one that was there stays its author's
    tree.items[key] = value


def _marked(value: Value, mark: Mark) -> Value:
    items = None if value.items is None else {k: _marked(v, mark) for k, v in value.items.items()}
    elements = None if value.elements is None else [_marked(v, mark) for v in value.elements]
    return replace(value, mark=mark, items=items, elements=elements, keys=dict.fromkeys(items or (), mark))
