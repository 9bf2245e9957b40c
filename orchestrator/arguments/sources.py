"""A script and the modules of its project that it imports, as syntax trees; nothing is executed."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

LONGEST = 1_000_000
"""Bytes of a source that are looked at."""

MOST_FILES = 40
DEPTH = 2
"""How many imports away from the script a module is still read."""

UNKNOWN: Any = object()
"""A value that the source alone does not tell."""


@dataclass(frozen=True, slots=True)
class Module:
    """A source file: its tree, where its names come from, and its constants."""

    path: Path
    tree: ast.Module
    origins: Mapping[str, str]
    constants: Mapping[str, ast.expr]

    def origin(self, node: ast.AST | None) -> str:
        """Return the dotted name that an expression means, imports resolved; empty for another expression."""
        if isinstance(node, ast.Name):
            return self.origins.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            value = self.origin(node.value)
            return f"{value}.{node.attr}" if value else ""
        return ""


@dataclass(frozen=True, slots=True)
class Place:
    """A node, and what stands around it."""

    module: Module
    node: ast.AST
    functions: tuple[str, ...] = ()
    conditional: bool = False


@dataclass(frozen=True)
class Sources:
    """A script and what it imports of its own project, the script first; `complete` unless a module was too far away."""

    modules: tuple[Module, ...]
    complete: bool

    @property
    def script(self) -> Module:
        """The script itself."""
        return self.modules[0]

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Every node that runs when the script does; of imported modules without their `__main__` part."""
        return tuple(
            place
            for module in self.modules
            for node in module.tree.body
            if module is self.script or not _is_main_part(node)
            for place in _inside(Place(module, node))
        )

    def calls(self, *origins: str) -> list[Place]:
        """Return the calls of functions by their dotted names."""
        return [p for p in self.places if isinstance(p.node, ast.Call) and p.module.origin(p.node.func) in origins]

    def methods(self, *names: str) -> list[Place]:
        """Return the calls of methods of any object by their names."""
        return [
            p
            for p in self.places
            if isinstance(p.node, ast.Call) and isinstance(p.node.func, ast.Attribute) and p.node.func.attr in names
        ]

    @cached_property
    def functions(self) -> dict[str, tuple[Module, ast.FunctionDef]]:
        """Return the functions and methods by name."""
        return {p.node.name: (p.module, p.node) for p in self.places if isinstance(p.node, ast.FunctionDef)}

    @cached_property
    def classes(self) -> dict[str, tuple[Module, ast.ClassDef]]:
        """Return the classes by name."""
        return {p.node.name: (p.module, p.node) for p in self.places if isinstance(p.node, ast.ClassDef)}

    def mentions(self, name: str) -> bool:
        """Return whether a name or attribute is used anywhere."""
        return any(
            (isinstance(p.node, ast.Name) and p.node.id == name)
            or (isinstance(p.node, ast.Attribute) and p.node.attr == name)
            for p in self.places
        )

    def changes_argv(self) -> bool:
        """Return whether the words of the command line may be other than they were given."""
        return any(
            (
                isinstance(p.node, ast.Attribute)
                and p.module.origin(p.node) == "sys.argv"
                and not isinstance(p.node.ctx, ast.Load)
            )
            or (
                isinstance(p.node, ast.Subscript)
                and p.module.origin(p.node.value) == "sys.argv"
                and not isinstance(p.node.ctx, ast.Load)
            )
            or (isinstance(p.node, ast.Call) and p.module.origin(p.node.func).startswith("sys.argv."))
            for p in self.places
        )


def read(script: Path, roots: tuple[Path, ...]) -> Sources | None:
    """Return a script with the modules of its project; None where it cannot be read.

    Args:
        script: The file.
        roots: Where its imports are looked for.
    """
    first = _module(script)
    if first is None:
        return None
    found, waiting, complete = {script.resolve(): first}, [(first, 0)], True
    while waiting:
        module, depth = waiting.pop(0)
        for path in _local_imports(module, ast.walk(module.tree), roots):
            if path.resolve() in found:
                continue
            if depth >= DEPTH or len(found) >= MOST_FILES or (imported := _module(path)) is None:
                complete = False
                continue
            found[path.resolve()] = imported
            waiting.append((imported, depth + 1))
    return Sources(tuple(found.values()), complete)


def certain(sources: Sources, roots: tuple[Path, ...]) -> list[Place]:
    """Return what runs whenever the script does: of no function, under no condition, of modules that are imported so."""
    by_path: dict[Path, list[Place]] = {module.path.resolve(): [] for module in sources.modules}
    for place in sources.places:
        if not place.conditional and not place.functions:
            by_path[place.module.path.resolve()].append(place)
    found: list[Place] = []
    waiting = [sources.script.path]
    while waiting:
        for place in by_path.pop(waiting.pop().resolve(), []):
            found.append(place)
            waiting += _local_imports(place.module, [place.node], roots)
    return found


def literal(module: Module, node: ast.expr | None) -> Any:
    """Return the value of a literal or of a module's constant; UNKNOWN for another expression."""
    if isinstance(node, ast.Name) and node.id in module.constants:
        node = module.constants[node.id]
    if node is None:
        return UNKNOWN
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return UNKNOWN


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    """Return a call's keyword arguments; ``**`` stands under the empty name."""
    return {keyword.arg or "": keyword.value for keyword in call.keywords}


def _inside(place: Place) -> Iterator[Place]:
    waiting = [place]
    while waiting:
        at = waiting.pop()
        yield at
        node, functions, conditional = at.node, at.functions, at.conditional
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions, conditional = (*functions, node.name), False
        elif isinstance(node, ast.For | ast.While | ast.Try) or _may_be_left(node):
            conditional = True
        children = [Place(at.module, child, functions, conditional) for child in ast.iter_child_nodes(node)]
        waiting += reversed(children)


def _may_be_left(node: ast.AST) -> bool:
    """Whether what stands in a node may not run, or not to its end: under a condition, or where errors are suppressed."""
    if isinstance(node, ast.With):
        return any("suppress" in ast.unparse(item.context_expr) for item in node.items)
    return isinstance(node, ast.If) and not _is_main_part(node)


def _is_main_part(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(node.test))


def _module(path: Path) -> Module | None:
    try:
        with path.open("rb") as file:
            tree = ast.parse(file.read(LONGEST))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    origins: dict[str, str] = {}
    constants: dict[str, ast.expr] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            origins |= {
                a.asname or a.name.split(".")[0]: a.name if a.asname else a.name.split(".")[0] for a in node.names
            }
        elif isinstance(node, ast.ImportFrom):
            origins |= {a.asname or a.name: f"{node.module}.{a.name}" if node.module else a.name for a in node.names}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            constants[node.targets[0].id] = node.value
    return Module(path, tree, origins, constants)


def _local_imports(module: Module, nodes: Iterable[ast.AST], roots: tuple[Path, ...]) -> Iterator[Path]:
    for node in nodes:
        names: list[str] = []
        places = roots
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [".".join(filter(None, (node.module, a.name))) for a in node.names] + [node.module or ""]
            places = (module.path.parents[node.level - 1],) if 0 < node.level <= len(module.path.parents) else roots
        for name in filter(None, names):
            yield from _files(name, places)


def _files(name: str, roots: tuple[Path, ...]) -> Iterator[Path]:
    parts = name.split(".")
    for root in roots:
        for path in (root.joinpath(*parts).with_suffix(".py"), root.joinpath(*parts, "__init__.py")):
            if path.is_file():
                yield path
                return
