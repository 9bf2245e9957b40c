"""YAML text -> a tree of values that know their place, with hard limits on what hostile text may cost.

The tree is built from parser events, without recursion, so that depth, size and the expansion of aliases are bounded
before anything is constructed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml import events as ev

from orchestrator.spec.findings import Finding, Findings, Mark, Severity

MAX_BYTES = 1_000_000
MAX_DEPTH = 60
MAX_NODES = 20_000
"""Values of a spec, with aliases expanded. The largest real sweeps have a few hundred."""

MAX_DIGITS = 400
"""Characters of a number. Long ones take Python quadratic time, and no float has so many digits."""

MAX_BITS = 1023
"""Of a whole number: one with more may be beyond the largest float."""

_PREFIX = "tag:yaml.org,2002:"
_SCALARS = {_PREFIX + name for name in ("null", "bool", "int", "float", "str")}
_NUMBERS = {_PREFIX + "int", _PREFIX + "float"}
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML does not allow in a file, not even in quotes."""

_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
"""What an escape such as ``"\\0"`` can put into a string, and neither a command line nor a file can carry."""

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
        depth: Number of levels in it, itself included.
    """

    mark: Mark | None
    data: Any = None
    raw: str | None = None
    items: dict[str, "Value"] | None = None
    keys: dict[str, Mark | None] = field(default_factory=dict)
    elements: list["Value"] | None = None
    size: int = 1
    depth: int = 1

    def plain(self) -> Any:
        """Return the value without places, as `yaml.safe_load` would."""
        if self.items is not None:
            return {key: value.plain() for key, value in self.items.items()}
        if self.elements is not None:
            return [value.plain() for value in self.elements]
        return self.data


class Refused(Exception):  # noqa: N818 - not an error of the program: it unwinds the parse with one finding
    """The text cannot be read at all; `finding` says why."""

    def __init__(self, message: str, mark: Mark | None = None, hint: str | None = None, *, where: str = "") -> None:
        super().__init__(message)
        self.finding = Finding(severity=Severity.ERROR, where=where, message=message, hint=hint, mark=mark)


def parse(text: str, findings: Findings) -> Value | None:
    """Return the document's tree, or None when it cannot be read; why is then in `findings`."""
    try:
        return _parse(text, findings)
    except Refused as refusal:
        findings.add(refusal.finding)
    except yaml.YAMLError as error:
        findings.add(_not_yaml(error, text.splitlines()))
    return None


def from_data(data: Any) -> Value:
    """Return the tree of plain Python data; numpy's numbers and arrays count as Python's.

    Raises:
        Refused: It is too deep or too large, or has keys or values that JSON cannot carry.
    """
    return _Copier().copy(data, ())


class _Copier:
    """Copies plain data into a tree, counting what it makes: the same list may stand in many places."""

    def __init__(self) -> None:
        self._n_nodes = 0

    def copy(self, data: Any, path: tuple[str, ...]) -> Value:
        """Return the tree of `data`, which stands at `path`."""
        self._n_nodes += 1
        if len(path) > MAX_DEPTH:
            raise Refused(f"nested more than {MAX_DEPTH} levels deep")
        if self._n_nodes > MAX_NODES:
            raise Refused(f"more than {MAX_NODES:,} values")
        if isinstance(data, Mapping):
            return self._mapping(data, path)
        if isinstance(data, list | tuple):
            tree = Value(None, elements=[self.copy(value, (*path, str(i))) for i, value in enumerate(data)])
            for value in tree.elements or ():
                _grow(tree, value)
            return tree
        if data is None or isinstance(data, bool | int | float | str):
            return Value(None, data=_carried(data, path))
        return self.copy(_of_numpy(data, path), path)

    def _mapping(self, data: Mapping[Any, Any], path: tuple[str, ...]) -> Value:
        tree = Value(None, items={})
        for key, value in data.items():
            if not isinstance(key, str):
                raise Refused(f"the key {key!r:.40} is not a string", where=".".join(path))
            _put(tree, _carried(key, path), None, self.copy(value, (*path, key)))
        return tree


def _carried(data: Any, path: tuple[str, ...]) -> Any:
    """Return a scalar as exactly Python's own type: numpy's floats and string enums are subclasses.

    Raises:
        Refused: No file or command line can carry it.
    """
    if isinstance(data, str):
        if _UNWRITABLE.search(data):
            raise Refused(f"{data[:40]!r} has a character that no file can carry", where=".".join(path))
        return str.__str__(data)
    if isinstance(data, int) and data.bit_length() > MAX_BITS:
        raise Refused("a whole number is beyond the largest float", where=".".join(path))
    return next((kind(data) for kind in (bool, int, float) if isinstance(data, kind)), None)


def _of_numpy(data: Any, path: tuple[str, ...]) -> Any:
    kind = type(data)
    plain = (
        data.tolist()
        if kind.__module__.split(".")[0] in {"numpy", "torch", "pandas"} and hasattr(data, "tolist")
        else data
    )
    if isinstance(plain, bool | int | float | str | list):
        return plain
    allowed = "a spec has numbers, strings, booleans, lists and mappings"
    raise Refused(f"a {kind.__name__} is not a value of a spec", hint=allowed, where=".".join(path))


def _parse(text: str, findings: Findings) -> Value:
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise Refused(f"larger than {MAX_BYTES:,} bytes", hint="a sweep spec has a few hundred lines at most")
    text = text.removeprefix("\ufeff")
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        lines = (text[: bad.start()] + "x").splitlines()
        raise Refused(f"control character {bad[0]!r}", Mark(len(lines), len(lines[-1])), "remove it")
    tree = _Builder(findings).build(yaml.parse(text, Loader=_Loader))
    if tree is None:
        raise Refused("empty: a spec has at least `method` and `parameters`")
    return tree


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not been seen."""

    value: Value
    anchor: str | None
    key: tuple[str | None, Mark] | None = None
    """The key whose value comes next; its name is None for ``<<``."""

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
            self._file(f"the tag {event.tag} is not allowed in a spec", _mark(event), "remove the tag")
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
        written = event.value if event.style in {None, ""} and event.tag is None else None
        value = Value(_mark(event), data=self._scalar_data(event, tag), raw=written)
        if event.anchor:
            self._anchors[event.anchor] = value
        self._place(value)

    def _scalar_data(self, event: Any, tag: str) -> Any:
        """Return a scalar's data, or its text where a finding says why it has none."""
        text, mark = event.value, _mark(event)
        if tag == _PREFIX + "timestamp":
            self._file(f"{text} is a date in YAML", mark, f'write it in quotes: "{text}"')
        elif tag not in _SCALARS:
            self._file(f"the tag {tag} is not allowed in a spec", mark, "remove the tag")
        elif tag in _NUMBERS and len(text) > MAX_DIGITS:
            self._file(f"a number of {len(text):,} characters", mark, f"at most {MAX_DIGITS}")
        elif _UNWRITABLE.search(text):
            self._file(f"{text[:40]!r} has a character that no command line can carry", mark, "remove it")
        else:
            return self._constructed(tag, text, mark)
        return text

    def _constructed(self, tag: str, text: str, mark: Mark) -> Any:
        try:
            data = self._constructor.construct_object(yaml.ScalarNode(tag, text))
        except (ValueError, yaml.YAMLError, LookupError, OverflowError):
            self._file(f"{text!r} is no {tag.removeprefix(_PREFIX)}", mark)
            return text
        if isinstance(data, int) and data.bit_length() > MAX_BITS:
            self._file("a whole number beyond the largest float", mark)
            return text
        return data

    def _file(self, message: str, mark: Mark, hint: str | None = None) -> None:
        """File an error that leaves the rest of the text readable."""
        self._findings.add(Refused(message, mark, hint, where=self._where()).finding)

    def _where(self) -> str:
        """Return the dotted location of the value that comes next."""
        where = ""
        for level in self._stack:
            if level.value.elements is not None:
                where += f"[{len(level.value.elements)}]"
            elif level.key is not None:
                where += f".{level.key[0]}"
        return where.removeprefix(".")

    def _key(self, event: Any, tag: str) -> None:
        top, key, mark = self._stack[-1], event.value, _mark(event)
        if tag == _PREFIX + "merge":
            top.key = (None, mark)
            return
        if tag != _PREFIX + "str":
            hint = f'write it in quotes: "{key}"' + ("; in { } a comma begins a new key" if tag in _NUMBERS else "")
            self._file(f"the key {key} is not a string", mark, hint)
        if _UNWRITABLE.search(key):
            self._file(f"the key {key[:40]!r} has a character that no file can carry", mark, "remove it")
        first = top.value.keys.get(key)
        if first is not None:
            self._file(f"the key {key!r} is here twice", mark, f"the first is in line {first.line}; keep one")
        top.key = (key, mark)

    def _alias(self, event: Any) -> None:
        value = self._anchors.get(event.anchor)
        if value is None:
            raise Refused(f"the alias *{event.anchor} has no complete anchor before it", _mark(event))
        if self._stack and self._expects_key():
            raise Refused("an alias cannot be a key", _mark(event), "write the key out")
        self._count(value.size, event)
        if len(self._stack) + value.depth > MAX_DEPTH:
            raise Refused(f"nested more than {MAX_DEPTH} levels deep", _mark(event))
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
            _grow(top.value, value)
            return
        assert top.key is not None
        (key, mark), top.key = top.key, None
        if key is None:
            self._merge(top, value, mark)
        elif key not in (top.value.items or {}):  # a repeated key is an error already; the first is judged too
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
    _grow(tree, value)


def _grow(tree: Value, by: Value) -> None:
    tree.size += by.size
    tree.depth = max(tree.depth, by.depth + 1)


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _not_yaml(error: Any, lines: list[str]) -> Finding:
    """Return the parser's complaint, at the place where a person has to look."""
    assert isinstance(error, yaml.MarkedYAMLError)  # the other kind is about characters, which have been checked
    reason = " ".join(part for part in (error.context, error.problem) if part)
    mark = error.problem_mark or error.context_mark
    end = (len(lines) - 1, len(lines[-1].rstrip())) if lines else (0, 0)
    if mark and (mark.line, mark.column) >= end:  # what was left open says more than the end of the text
        mark = error.context_mark or mark
    place = Mark(mark.line + 1, mark.column + 1) if mark else None
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    return Refused(f"not YAML: {reason}", place, _yaml_hint(reason, line)).finding


def _yaml_hint(reason: str, line: str) -> str | None:
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "YAML is indented with spaces, never with tabs"
    if "mapping values are not allowed" in reason:
        return "a value with a colon in it needs quotes; and mind the indentation"
    if "could not find expected ':'" in reason:
        return "a colon is missing, or quotes are not closed"
    if "escape" in reason or "hexdecimal" in reason:
        return "a backslash between double quotes begins an escape such as \\n: double it, or use single quotes"
    if "quoted scalar" in reason:
        return "quotes are not closed"
    if "anchor" in reason or "alias" in reason:
        return "a value that starts with * or & needs quotes"
    return None
