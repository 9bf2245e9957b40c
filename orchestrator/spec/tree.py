"""YAML text -> a tree of values that know their place, with hard limits on what hostile text may cost.

The tree is built from parser events, without recursion, so that depth, size and the expansion of aliases are bounded
before anything is constructed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml import events as ev

from orchestrator.spec.findings import Finding, Findings, Mark, Severity, printable

MAX_BYTES = 1_000_000
MAX_DEPTH = 60
MAX_NODES = 50_000
"""Values of a spec, with aliases expanded. The largest real sweeps have a few hundred."""

_PREFIX = "tag:yaml.org,2002:"
_SCALARS = {_PREFIX + name for name in ("null", "bool", "int", "float", "str")}
_MERGE = "<<"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True, eq=False)
class Value:
    """A value of the spec and where it stands.

    Attributes:
        data: A scalar; for mappings and lists None.
        raw: A scalar's text as written, None for what is not a plain (unquoted) scalar.
        items: A mapping's values by key, in the order written.
        keys: Where each key stands.
        elements: A list's values.
        size: Number of values in it, itself included.
    """

    mark: Mark | None
    data: Any = None
    raw: str | None = None
    items: dict[str, "Value"] | None = None
    keys: dict[str, Mark | None] = field(default_factory=dict)
    elements: list["Value"] | None = None
    size: int = 1

    def plain(self) -> Any:
        """Return the value without places, as `yaml.safe_load` would."""
        if self.items is not None:
            return {key: value.plain() for key, value in self.items.items()}
        if self.elements is not None:
            return [value.plain() for value in self.elements]
        return self.data


class Refused(Exception):  # noqa: N818 - not an error of the program: it unwinds the parse with one finding
    """The text cannot be read at all; `finding` says why."""

    def __init__(self, message: str, mark: Mark | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.finding = Finding(severity=Severity.ERROR, where="", message=message, hint=hint, mark=mark)


def parse(text: str, findings: Findings) -> Value | None:
    """Return the document's tree, or None when it cannot be read; why is then in `findings`."""
    try:
        return _parse(text, findings)
    except Refused as refusal:
        findings.add(refusal.finding)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(part for part in (error.context, error.problem) if part)
        place = Mark(mark.line + 1, mark.column + 1) if mark else None
        findings.add(Refused(f"not YAML: {printable(reason)}", place, _yaml_hint(error)).finding)
    except yaml.YAMLError as error:
        findings.add(Refused(f"not YAML: {printable(str(error).splitlines()[0])}").finding)
    return None


def from_data(data: Any, depth: int = 0) -> Value:
    """Return the tree of plain Python data.

    Raises:
        Refused: It is too deep or too large, or has keys or values that JSON cannot carry.
    """
    if depth > MAX_DEPTH:
        raise Refused(f"nested more than {MAX_DEPTH} levels deep")
    if isinstance(data, Mapping):
        tree = Value(None, items={})
        for key, value in data.items():
            if not isinstance(key, str):
                raise Refused(f"the key {key!r} is not a string")
            _put(tree, key, None, from_data(value, depth + 1))
        return tree
    if isinstance(data, list | tuple):
        elements = [from_data(value, depth + 1) for value in data]
        return Value(None, elements=elements, size=1 + sum(value.size for value in elements))
    if data is not None and not isinstance(data, bool | int | float | str):
        item = getattr(data, "item", None)
        if not callable(item):
            raise Refused(
                f"{data!r} is a {type(data).__name__}; a spec has numbers, strings, booleans, lists and mappings"
            )
        return from_data(item(), depth + 1)
    return Value(None, data=data)


def _parse(text: str, findings: Findings) -> Value:
    text = text.removeprefix("\ufeff")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise Refused(f"larger than {MAX_BYTES:,} bytes", hint="a sweep spec has a few hundred lines at most")
    for number, line in enumerate(text.splitlines(), 1):
        bad = next((i for i, c in enumerate(line) if (ord(c) < 32 and c != "\t") or c == "\x7f"), None)
        if bad is not None:
            raise Refused(f"control character {line[bad]!r}", Mark(number, bad + 1), "remove it")
    tree = _Builder(findings).build(yaml.parse(text, Loader=_Loader))
    if tree is None:
        raise Refused("empty: a spec has at least `method` and `parameters`")
    return tree


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not been seen."""

    value: Value
    anchor: str | None
    key: tuple[str, Mark] | None = None
    merged: list[Value] = field(default_factory=list)


class _Builder:
    """Builds the tree from parser events with its own stack."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._anchors: dict[str, Value] = {}
        self._stack: list[_Open] = []
        self._root: Value | None = None
        self._n_nodes = 0
        self._constructor = yaml.constructor.SafeConstructor()
        self._resolver: Any = yaml.resolver.Resolver()

    def build(self, events: Iterator[Any]) -> Value | None:
        """Consume all events and return the document's root."""
        for event in events:
            match event:
                case ev.MappingStartEvent() | ev.SequenceStartEvent():
                    self._begin(event)
                case ev.MappingEndEvent() | ev.SequenceEndEvent():
                    closed = self._stack.pop()
                    self._finish(closed)
                case ev.ScalarEvent():
                    self._scalar(event)
                case ev.AliasEvent():
                    self._alias(event)
                case ev.DocumentStartEvent() if self._root is not None:
                    raise Refused(
                        "a second document begins here", _mark(event), "one file is one sweep: remove the `---`"
                    )
        return self._root

    def _begin(self, event: Any) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise Refused(f"nested more than {MAX_DEPTH} levels deep", _mark(event))
        is_map = isinstance(event, ev.MappingStartEvent)
        if event.tag not in {None, "!", _PREFIX + ("map" if is_map else "seq")}:
            raise Refused(f"the tag {printable(event.tag)} is not allowed in a spec", _mark(event), "remove the tag")
        if self._stack and self._expects_key():
            raise Refused("a list or mapping cannot be a key", _mark(event), "keys are strings")
        self._count(1, event)
        mark = _mark(event)
        value = Value(mark, items={}) if is_map else Value(mark, elements=[])
        self._stack.append(_Open(value, event.anchor))

    def _finish(self, closed: _Open) -> None:
        value = closed.value
        for merged in closed.merged:
            for key, child in (merged.items or {}).items():
                if key not in (value.items or {}):
                    _put(value, key, merged.keys.get(key), child)
        if closed.anchor:
            self._anchors[closed.anchor] = value
        self._place(value)

    def _scalar(self, event: Any) -> None:
        self._count(1, event)
        tag = event.tag
        if tag in {None, "!"}:
            tag = self._resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
        if self._stack and self._expects_key():
            self._key(event, tag)
            return
        if tag == _PREFIX + "timestamp":
            raise Refused(f"{event.value} is a date in YAML", _mark(event), f'write it in quotes: "{event.value}"')
        if tag not in _SCALARS:
            raise Refused(f"the tag {printable(tag)} is not allowed in a spec", _mark(event), "remove the tag")
        node = yaml.ScalarNode(tag, event.value)
        try:
            data = self._constructor.construct_object(node)
        except (ValueError, yaml.YAMLError, KeyError, IndexError):
            raise Refused(f"{printable(event.value)!r} is no {tag.removeprefix(_PREFIX)}", _mark(event)) from None
        value = Value(_mark(event), data=data, raw=event.value if event.style in {None, ""} else None)
        if event.anchor:
            self._anchors[event.anchor] = value
        self._place(value)

    def _key(self, event: Any, tag: str) -> None:
        top = self._stack[-1]
        if tag not in {_PREFIX + "str", _PREFIX + "merge"}:
            raise Refused(
                f"the key {printable(event.value)} is not a string",
                _mark(event),
                f'write it in quotes: "{event.value}"',
            )
        if event.value != _MERGE and event.value in (top.value.items or {}):
            first = top.value.keys[event.value]
            raise Refused(
                f"the key {printable(event.value)!r} is here twice",
                _mark(event),
                f"the first is in line {first.line}; keep one" if first else None,
            )
        top.key = (event.value, _mark(event))

    def _alias(self, event: Any) -> None:
        value = self._anchors.get(event.anchor)
        if value is None:
            raise Refused(f"the alias *{printable(event.anchor)} has no complete anchor before it", _mark(event))
        if self._stack and self._expects_key():
            raise Refused("an alias cannot be a key", _mark(event), "write the key out")
        self._count(value.size, event)
        self._place(value)

    def _expects_key(self) -> bool:
        top = self._stack[-1]
        return top.value.items is not None and top.key is None

    def _place(self, value: Value) -> None:
        if not self._stack:
            self._root = value
            return
        top = self._stack[-1]
        if top.value.elements is not None:
            top.value.elements.append(value)
            top.value.size += value.size
            return
        assert top.key is not None
        (key, mark), top.key = top.key, None
        if key == _MERGE:
            self._merge(top, value, mark)
            return
        _put(top.value, key, mark, value)

    def _merge(self, top: _Open, value: Value, mark: Mark) -> None:
        sources = value.elements if value.elements is not None else [value]
        if any(source.items is None for source in sources):
            raise Refused("`<<` merges mappings only", mark, "give it an alias of a mapping, or a list of such aliases")
        top.merged += sources

    def _count(self, n: int, event: Any) -> None:
        self._n_nodes += n
        if self._n_nodes > MAX_NODES:
            raise Refused(f"more than {MAX_NODES:,} values (aliases count as often as they are used)", _mark(event))


def _put(tree: Value, key: str, mark: Mark | None, value: Value) -> None:
    assert tree.items is not None
    tree.items[key] = value
    tree.keys[key] = mark
    tree.size += value.size


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _yaml_hint(error: yaml.MarkedYAMLError) -> str | None:
    problem = error.problem or ""
    if "\\t" in problem or "'\t'" in problem:
        return "YAML is indented with spaces, never with tabs"
    if "mapping values are not allowed" in problem:
        return "a value with a colon in it needs quotes; and mind the indentation"
    return None
