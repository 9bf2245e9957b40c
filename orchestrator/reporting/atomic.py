"""How files are written here: as a whole or not at all."""

import os
from pathlib import Path


def replace(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file beside its place, then put it there: readers never see half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
