"""Makes what has to travel to a GPU machine without a network: what its Python lacks, and this project, as one tar.xz.

python tests/gpu/bundle.py [--out build/gpu-bundle.tar.xz]

Run it with the Python that the locked versions are installed in: it is asked which of them need each other.
"""

import argparse
import fnmatch
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PRESENT = Path(__file__).with_name("present.txt")
PROJECT = "sweep-orchestrator[all]"
MAX_BYTES = 45_000_000
"""With the repository beside it, what travels must stay below 64 MiB."""

TARGET = {"python_version": "3.12", "python_full_version": "3.12.3", "sys_platform": "linux", "extra": ""}
FOR_TARGET = [
    *("--only-binary=:all:", "--implementation", "cp", "--python-version", "3.12", "--abi", "cp312", "--abi", "abi3"),
    *("--abi", "none", "--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_17_x86_64"),
    *("--platform", "manylinux_2_28_x86_64"),
]

UNUSED = (
    *("ray/jars/*", "ray/rllib/*", "ray/serve/*", "ray/llm/*", "ray/cpp/*", "ray/workflow/*", "ray/dashboard/client/*"),
    *("ray/core/generated/java/*", "ray/include/*", "ray/java/*", "ray/core/src/ray/thirdparty/*"),
    *("ray/*/tests/*", "ray/tests/*", "ray/dag/tests/*", "ray/data/*/tests/*", "ray/scripts/tests/*"),
    *(
        "*.pyc",
        "*/__pycache__/*",
        "*.pyi",
        "*.pxd",
        "*.pyx",
        "bin/*",
        "sqlalchemy/*.c",
        "wandb/bin/librust_parquet_ffi.so",
    ),
)
"""Files that no check uses, as patterns below the directory of packages: `*` crosses slashes."""

FILTERS = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 64 << 20}]
"""Most of it is machine code, which packs better with its jumps made absolute."""

TRAVELS = ("tests/gpu", "trainables", "sweeps")
"""What of the repository goes along beside the installed package."""


def normal(name: str) -> str:
    """Return a distribution's name as constraints.txt writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names_in(text: str) -> set[str]:
    """Return the names of a list with one per line and comments."""
    return {normal(line) for line in text.splitlines() if line.strip() and not line.startswith("#")}


def pins_in(text: str) -> dict[str, str]:
    """Return the versions of a constraints file."""
    pairs = (line.split("==") for line in text.splitlines() if "==" in line and not line.startswith("#"))
    return {normal(name): version.strip() for name, version in pairs}


def lacking(root: str, present: set[str], requires: Callable[[str], Iterable[str]]) -> set[str]:
    """Return all that a distribution needs, however indirectly, and that is not present; not itself.

    Args:
        root: The distribution's name, with extras or without.
        present: Names that are there; what they need is there too.
        requires: The requirements of a distribution, as its metadata has them.
    """
    seen: set[tuple[str, frozenset[str]]] = set()
    [own] = _needs([root], frozenset())
    waiting = [own]
    while waiting:
        name, extras = waiting.pop()
        if name in present or (name, extras) in seen:
            continue
        seen.add((name, extras))
        waiting += _needs(requires(name), extras)
    return {name for name, _ in seen} - {own[0]}


def _needs(requirements: Iterable[str], extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for requirement in map(Requirement, requirements):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**TARGET, "extra": extra}) for extra in ("", *extras)):
            yield normal(requirement.name), frozenset(requirement.extras)


def unused(path: str) -> bool:
    """Return whether no check uses a file of the packages' directory."""
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in UNUSED)


def size(directory: Path) -> int:
    """Return the bytes of all files below a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _pip(*args: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", *args], check=True)


def install(names: Iterable[str], pins: Mapping[str, str], site: Path) -> None:
    """Put the locked wheels for the other machine's Python, and this package, into a directory."""
    pinned = [f"{name}=={pins[name]}" for name in sorted(names)]
    _pip("install", "--no-deps", "--no-compile", "--target", str(site), *FOR_TARGET, *pinned)
    with tempfile.TemporaryDirectory() as wheels:
        _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, str(ROOT))
        [wheel] = Path(wheels).glob("*.whl")
        _pip("install", "--no-deps", "--no-compile", "--target", str(site), str(wheel))


def strip(site: Path) -> None:
    """Remove what no check uses, and directories that this leaves empty."""
    for path in list(site.rglob("*")):
        if path.is_file() and unused(path.relative_to(site).as_posix()):
            path.unlink()
    for directory, _, _ in os.walk(site, topdown=False):
        if not any(Path(directory).iterdir()):
            Path(directory).rmdir()


def copy_project(to: Path) -> None:
    """Copy what the checks use of the repository."""
    for name in TRAVELS:
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    (to / "tests" / "__init__.py").touch()  # another `tests` that is installed there must not come first


def pack(directory: Path, out: Path) -> None:
    """Write a directory's content as tar.xz, the same for the same content."""
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f"{out.name}.part")
    with lzma.open(beside, "wb", filters=FILTERS) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for path in sorted(directory.rglob("*")):
            tar.add(path, path.relative_to(directory).as_posix(), recursive=False, filter=_anonymous)
    beside.replace(out)


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


def main() -> None:
    """Make the bundle and print what it weighs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "gpu-bundle.tar.xz")
    out = parser.parse_args().out
    pins = pins_in((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    names = lacking(PROJECT, names_in(PRESENT.read_text(encoding="utf-8")), lambda name: metadata.requires(name) or [])
    print(f"Carried in the locked versions ({len(names)}): {', '.join(sorted(names))}")
    with tempfile.TemporaryDirectory(prefix="gpu-bundle-") as work:
        site = Path(work, "site")
        install(names, pins, site)
        before = size(site)
        strip(site)
        copy_project(Path(work, "project"))
        print(f"Packages: {before / 1e6:.0f} MB unpacked, {size(site) / 1e6:.0f} MB without what no check uses")
        pack(Path(work), out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB of at most {MAX_BYTES / 1e6:.0f} MB")
    if out.stat().st_size > MAX_BYTES:
        sys.exit(f"{out} is too large to travel: find in tests/gpu/bundle.py what else can stay at home")


if __name__ == "__main__":
    main()
