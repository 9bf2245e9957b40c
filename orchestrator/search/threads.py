"""One CPU thread for linear algebra: the matrices are small, and the CPU belongs to the trials.

The libraries are found in /proc. To have the loader name them to Python, as threadpoolctl does, can stop a process for
ever: the loader calls back while it holds a lock, and a thread that imports a C extension waits for that lock with
Python's own in its hands.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple


class Library(NamedTuple):
    """The two functions of an OpenBLAS that say and set how many threads it uses."""

    get: Any
    set: Any


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread while this is open, and on as many as before afterwards."""
    libraries = _libraries()
    before = [library.get() for library in libraries]
    for library in libraries:
        library.set(1)
    try:
        yield
    finally:
        for library, n in zip(libraries, before, strict=True):
            library.set(n)


@cache
def _libraries() -> tuple[Library, ...]:
    """Return every OpenBLAS that is loaded: numpy and scipy bring one each."""
    import scipy.linalg  # noqa: F401 - with it, both are

    lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    paths = {f"/{path}" for _, slash, path in (line.partition("/") for line in lines) if slash and "openblas" in path}
    return tuple(found for path in sorted(paths) if (found := _library(path)))


def _library(path: str) -> Library | None:
    """Return the functions of a library, whose names tell how it was built; None where it has none."""
    with suppress(OSError):
        loaded = ctypes.CDLL(path)
        for prefix, suffix in product(("", "scipy_"), ("", "64_", "_64")):
            names = (f"{prefix}openblas_{verb}_num_threads{suffix}" for verb in ("get", "set"))
            get, put = (getattr(loaded, name, None) for name in names)
            if get is not None and put is not None:
                return Library(get, put)
    return None
