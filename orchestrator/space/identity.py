"""When are two values the same? As W&B's grid search decides it, in a form that can be hashed."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np


def identity(value: Any) -> Hashable:
    """Return the identity of a parameter's value: equal exactly when W&B treats two values as the same.

    A whole float is its int (``1.0`` is ``1``: a value may come back from JSON as either), but only as the value
    itself, not inside a list or mapping. ``True``, ``1`` and ``"1"`` differ, mappings ignore the order of their keys,
    and NaN is itself.
    """
    if isinstance(value, float) and value.is_integer():
        return _tagged(int(value))
    return _tagged(value)


def _tagged(value: Any) -> Hashable:
    if isinstance(value, np.generic):
        return identity(value.item())
    if isinstance(value, Mapping):
        return ("mapping", frozenset((_tagged(key), _tagged(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return ("list", *(_tagged(item) for item in value))
    if isinstance(value, float):
        return ("float", repr(value))
    return (type(value).__name__, value)
