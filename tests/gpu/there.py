"""Run on the GPU machine: unpack the bundle into a temporary directory and run the checks from it, without a network.

python3 tests/gpu/there.py build/gpu-bundle.tar.xz [options of python -m tests.gpu]

It makes a virtual environment whose packages are the bundle's first, and then all that the Python it is run with has.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from pathlib import Path

SWEEP = """#!{python}
from orchestrator.cli.main import main
main()
"""


def site_directories() -> list[str]:
    """Return where this Python finds installed packages."""
    return [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]


def environment(directory: Path, site: Path) -> Path:
    """Make a virtual environment that has a directory of packages and what this Python has; return its Python."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(directory)
    [packages] = directory.glob("lib/python*/site-packages")
    lines = [str(site), *(f"import site; site.addsitedir({path!r})" for path in site_directories())]
    (packages / "bundle.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    python = directory / "bin" / "python"
    sweep = directory / "bin" / "sweep"
    sweep.write_text(SWEEP.format(python=python), encoding="utf-8")
    sweep.chmod(0o755)
    return python


def main() -> int:
    """Unpack, run, say where the table is; return the checks' exit code."""
    bundle, *options = sys.argv[1:]
    out = Path(os.environ.get("OUT") or "build/gpu").resolve()
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gpu-bundle-", ignore_cleanup_errors=True) as work:
        with tarfile.open(bundle, "r:xz") as packed:
            packed.extractall(work, filter="data")
        python = environment(Path(work, "venv"), Path(work, "site"))
        print(f"Unpacked {bundle} in {time.monotonic() - began_s:.0f} s", flush=True)
        command = [str(python), "-m", "tests.gpu", "--out", str(out), *options]
        environ = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
        environ.pop("PYTHONPATH", None)
        return subprocess.run(command, cwd=Path(work, "project"), env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
