"""A project whose sweeps wait for a word, so that tests can act while they run."""

import json
import os
import signal

import pytest

from orchestrator.ledger.paths import find_sweep
from orchestrator.ledger.reader import LedgerReader
from tests.cli.shell import sweep, write_project

WAITS = """\
program: train.py
method: random
run_cap: 2
metric: {name: loss}
parameters: {lr: {min: 0.0, max: 0.5}, naps: {value: 1}}
"""
PATIENCE_S = 90


class Project:
    """A folder whose sweep's trials wait until the file `go` is there."""

    def __init__(self, path, address):
        self.path = write_project(path, WAITS)
        self.ray = {"RAY_ADDRESS": address, "RAY_AUTH_MODE": "disabled"}
        self.pids = set()

    def sweep(self, *words):
        return sweep(*words, cwd=self.path, **self.ray)

    def detached(self, *words):
        """Run a command with -d; return what it says in JSON."""
        done = self.sweep(*words, "-d", "--json")
        assert done.returncode == 0, done.stderr
        facts = json.loads(done.stdout)
        self.pids.add(facts["pid"])
        return facts

    def dir(self):
        return find_sweep(self.path / "sweep-runs")

    def state(self):
        """The sweep's state, by its ledger: to ask a command time and again would take a core."""
        with LedgerReader(self.dir().ledger_path) as reader:
            return reader.sweep().state


@pytest.fixture
def project(tmp_path, ray_head):
    made = Project(tmp_path, ray_head)
    yield made
    (made.path / "go").touch()
    for pid in made.pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
