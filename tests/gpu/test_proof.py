"""The checks as tests: `make gpu` runs them on a GPU; elsewhere they are left out, with the reason."""

import json
import subprocess
import sys

import pytest

from tests.gpu.__main__ import NO_GPU, ROOT
from tests.gpu.plan import CHECKS


@pytest.fixture(scope="module")
def proof(tmp_path_factory):
    """Every check's row, from one run of all."""
    out = tmp_path_factory.mktemp("proof")
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu", "--out", str(out)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode == NO_GPU:
        pytest.skip(done.stdout.splitlines()[0])
    return {row["name"]: row for row in json.loads((out / "table.json").read_text())["checks"]}


@pytest.mark.gpu
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [check.name for check in CHECKS])
def test_a_check_passes_on_this_gpu(name, proof):
    """What the table says of it."""
    assert proof[name]["passed"], proof[name]["failures"]
