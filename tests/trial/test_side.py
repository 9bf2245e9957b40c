import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.trial import side

PYTHONS = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions").glob("3.*/bin/python"))
OWN = Path(sys.executable)


def is_new_enough(python: Path) -> bool:
    return tuple(int(part) for part in python.parts[-3].split(".")[:2]) >= (3, 9)


ALL = [OWN, *filter(is_new_enough, PYTHONS)]


@pytest.mark.parametrize("python", ALL, ids=["own", *(python.parts[-3] for python in ALL[1:])])
def test_all_of_it_is_imported_with_nothing_installed(python, tmp_path):
    """By each Python there is, from a directory with the trial's side alone, where nothing but the standard library is found."""
    place = tmp_path / "side"
    for file in side.files():
        target = place / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(side.PACKAGE.parent.joinpath(file).read_bytes())
    names = [file.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for file in side.files()]
    code = (
        "import importlib, json, os, sys, sysconfig\n"
        "sys.path = [sys.argv[1], *(p for p in sys.path if not p.endswith('-packages'))]\n"
        "before = set(sys.modules)\n"
        "for name in json.loads(sys.argv[2]):\n"
        "    importlib.import_module(name)\n"
        "sys.exit(sys.version_info < (3, 9))\n"
    )
    done = subprocess.run(
        [python, "-I", "-W", "error", "-c", code, place, json.dumps(names)],
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_booted_is_the_package_that_said_so(tmp_path):
    """From anywhere, beside another `orchestrator`, in a Python that has none; the working directory is off the path."""
    decoy = tmp_path / "orchestrator"
    decoy.mkdir()
    (decoy / "__init__.py").write_text("raise SystemExit('decoy')")
    code = (
        side.boot("orchestrator.trial.side", "files") + "; import orchestrator; print(orchestrator.__file__, sys.path)"
    )
    python = ALL[-1]
    done = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(f"{side.PACKAGE}/__init__.py "), done.stderr
    assert "''" not in done.stdout
