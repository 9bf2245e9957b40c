"""This package as one file of bytes, for nodes that have Ray and nothing of ours; the same code gives the same bytes."""

import functools
import importlib.util
import io
import zipfile
from pathlib import Path

from orchestrator.trial.side import PACKAGE

BESIDE = ("cloudpickle",)
"""What travels along: functions of scripts and notebooks are read by it, and it is nothing but Python."""


@functools.cache
def packed() -> bytes:
    """Return the code of this package and of `BESIDE` as a zip; 0.6 MB."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for root in (PACKAGE, *_beside()):
            for path in sorted(root.rglob("*.py")):
                entry = zipfile.ZipInfo(path.relative_to(root.parent).as_posix())  # of 1980, whenever it was installed
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return content.getvalue()


def _beside() -> list[Path]:
    found = [importlib.util.find_spec(name) for name in BESIDE]
    return [Path(spec.origin).parent for spec in found if spec is not None and spec.origin is not None]
