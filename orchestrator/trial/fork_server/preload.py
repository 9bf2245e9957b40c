"""Which heavy libraries a program imports: found in its source, so that the warm fork server has them before a trial starts."""

from __future__ import annotations

import ast
import importlib.util
import re
from importlib.machinery import ModuleSpec
from pathlib import Path

from orchestrator.trial.contract.function_file import mentioned
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind

HEAVY: dict[str, tuple[str, ...]] = {
    # what a program imports: what the server imports for it
    "torch": ("torch", "torch.nn.functional", "torch.optim", "torch.utils.data"),
    "torchvision": ("torchvision",),
    "numpy": ("numpy",),
    "pandas": ("pandas",),
    "scipy": ("scipy",),
    "sklearn": ("sklearn",),
    "tensorboard": ("tensorboard.summary.writer.event_file_writer",),
    "tensorboardX": ("tensorboardX",),
    "transformers": ("transformers",),
    "datasets": ("datasets",),
    "lightning": ("lightning",),
    "pytorch_lightning": ("pytorch_lightning",),
    "torchmetrics": ("torchmetrics",),
    "matplotlib": ("matplotlib", "matplotlib.pyplot"),
    "xgboost": ("xgboost",),
    "lightgbm": ("lightgbm",),
    "ray": ("ray.tune",),
    "PIL": ("PIL.Image",),
    "yaml": ("yaml",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
}
"""Libraries that are safe to fork once imported. JAX and TensorFlow start threads at import and are not."""

WANDB = ("wandb", "wandb.sdk.launch.inputs.internal")
CAPTURE = (
    "tensorboard.compat.proto.summary_pb2",
    "numpy.random",  # NumPy leaves it to the first who asks: each trial, to be seeded
    "orchestrator.trial.program.api",
)
"""What every warm trial needs: TensorBoard's messages for media, its random state, `orchestrator.report`."""

OPTIMIZER = "torch._dynamo"
"""What torch imports when a program makes its first optimizer: 800 modules, as long again as `import torch` takes."""

SETTINGS = re.compile("TORCHDYNAMO_|TORCH_COMPILE_|TORCHINDUCTOR_|TORCH_LOGS|TORCH_TRACE")
"""Environment variables that torch reads once, in that import: who names one may set it, and makes that import itself."""

SETTING = "<a setting of torch>"
"""What stands for one of them among the modules that a program imports."""

TRAINERS = frozenset({"lightning", "pytorch_lightning", "transformers", "accelerate"})
"""Libraries that make the optimizer for a program."""

MAX_FILES = 200
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def modules_for(launch: Launch) -> tuple[str, ...]:
    """Return the modules that the warm server of a launch's program imports, in order."""
    if launch.program.kind is ProgramKind.COMMAND:
        return tuple(name for name in CAPTURE if _installed(name))
    always = CAPTURE + (WANDB if launch.wandb is not None else ())
    if launch.preload is not None:
        return tuple(dict.fromkeys((*launch.preload, *filter(_installed, always))))
    return tuple(dict.fromkeys(filter(_installed, (*_found(launch.program, Path(launch.cwd)), *always))))


def _found(program: Program, cwd: Path) -> tuple[str, ...]:
    imported = _imported(program, cwd)
    names = [name for name in HEAVY if name in imported]
    if "torch.utils.tensorboard" in imported:
        names.append("tensorboard")
    found = [module for name in names for module in HEAVY[name]]
    if ("torch.optim" in imported or imported & TRAINERS) and SETTING not in imported and _has_optimizer():
        found.append(OPTIMIZER)
    return (*found, *(("torch.utils.tensorboard",) if "torch.utils.tensorboard" in imported else ()))


def _has_optimizer() -> bool:
    """Return whether the torch there is, if any, imports it so: those before 2.0 do not have it."""
    torch = _spec_of("torch")
    places = torch.submodule_search_locations if torch is not None else None
    return any(Path(place, OPTIMIZER.partition(".")[2]).is_dir() for place in places or ())


def _imported(program: Program, cwd: Path) -> set[str]:
    """Every module that a program seems to import, and `SETTING` where it names one."""
    if program.kind is ProgramKind.PICKLE:
        return _imported_by_function(Path(program.target), cwd)
    source = _source(program, cwd)
    return set() if source is None else _imports(source, {source.parent, cwd}, set())


def _imported_by_function(path: Path, cwd: Path) -> set[str]:
    try:
        texts, places = mentioned(path)
    except (OSError, ValueError):
        return set()  # the trial will say what is wrong with it
    names = {text for text in texts if _MODULE.fullmatch(text)}
    settings = {SETTING for text in texts if SETTINGS.search(text)}
    if {"torch", "optim"} <= names:
        names.add("torch.optim")
    roots = {cwd, *map(Path, places)}
    return _of_libraries(names, roots, set()) | settings


def _source(program: Program, cwd: Path) -> Path | None:
    """The file that a program starts with, when it is one of the user's own."""
    if program.kind is ProgramKind.SCRIPT:
        return cwd / program.target
    if program.kind in {ProgramKind.MODULE, ProgramKind.OBJECT}:
        return _local(program.target.partition(":")[0], {cwd})
    return None


def _imports(path: Path, roots: set[Path], seen: set[Path]) -> set[str]:
    """Every module that a file imports, and that the user's own modules it imports import."""
    if path in seen or len(seen) >= MAX_FILES:
        return set()
    seen.add(path)
    try:
        source = path.read_bytes()
        tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= _imported_from(node, path)
        elif isinstance(node, ast.Attribute) and node.attr == "optim":  # torch.optim.SGD(...) after `import torch`
            names |= {"torch.optim"} if isinstance(node.value, ast.Name) and node.value.id == "torch" else set()
    settings = {SETTING} if SETTINGS.search(source.decode(errors="replace")) else set()
    return _of_libraries(names, roots, seen) | settings


def _imported_from(node: ast.ImportFrom, path: Path) -> set[str]:
    """What a ``from ... import`` may import; of a relative one the name from the root that it is in."""
    base = node.module or ""
    if node.level:
        package = path.resolve().parents[node.level - 1]
        base = ".".join(part for part in (*_package_names(package), base) if part)
    return {base, *(f"{base}.{alias.name}" for alias in node.names)} if base else {alias.name for alias in node.names}


def _package_names(directory: Path) -> list[str]:
    names: list[str] = []
    while (directory / "__init__.py").is_file():
        names.insert(0, directory.name)
        directory = directory.parent
    return names


def _of_libraries(names: set[str], roots: set[Path], seen: set[Path]) -> set[str]:
    """Of what is imported, what is not the user's own; and what the user's own modules import in their turn."""
    found: set[str] = set()
    for name in sorted({outer for inner in names for outer in _with_packages(inner)}):
        local = _local(name, roots)
        if local is not None:
            found |= _imports(local, roots, seen)
        elif _local(name.partition(".")[0], roots) is None:
            found.add(name)
    return found


def _with_packages(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)]


def _local(name: str, roots: set[Path]) -> Path | None:
    parts = name.split(".")
    for root in roots:
        for path in (root.joinpath(*parts).with_suffix(".py"), root.joinpath(*parts, "__init__.py")):
            if path.is_file():
                return path
    return None


def _installed(name: str) -> bool:
    return _spec_of(name.partition(".")[0]) is not None


def _spec_of(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
