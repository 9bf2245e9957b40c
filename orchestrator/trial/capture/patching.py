"""Changing a module when it is imported: at once if it is there already, else right after its own code ran."""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

Patch = Callable[[ModuleType], object]


class Patches:
    """Patches by module name. One finder on `sys.meta_path` that finds nothing itself, but wraps what others find."""

    def __init__(self, patches: dict[str, Patch]) -> None:
        self._patches = patches

    def install(self) -> None:
        """Patch what is imported; watch for the rest."""
        for name in list(self._patches):
            module = sys.modules.get(name)
            if module is not None:
                self._patches.pop(name)(module)
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> Any:
        """Return the spec that the other finders have for a module to patch; None for every other module."""
        patch = self._patches.pop(name, None)  # another set of patches for it asks us in its turn
        if patch is None:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader, patch)  # type: ignore[assignment]  # a loader
                return spec
        self._patches[name] = patch
        return None


class _Loader:
    """A loader that patches the module after the real loader executed it."""

    def __init__(self, loader: Any, patch: Patch) -> None:
        self._loader = loader
        self._patch = patch

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Create the module as the real loader would."""
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module, then patch it."""
        self._loader.exec_module(module)
        self._patch(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
