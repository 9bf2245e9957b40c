import itertools

import pytest

from orchestrator.layout import SweepDir
from orchestrator.ledger.records import SweepRecord, SweepState
from orchestrator.ledger.store import Ledger

SPEC = "{program: t.py, method: grid, metric: {name: loss}, parameters: {x: {values: [1, 2]}}}"

_numbers = itertools.count()


@pytest.fixture
def s3(s3_server, monkeypatch):
    """The URL of a bucket on a real S3 server."""
    return s3_server.bucket(monkeypatch.setenv, f"bucket-{next(_numbers)}")


@pytest.fixture
def sweep_dir(tmp_path):
    """A sweep with a ledger and files of two trials, which its ledger does not know yet."""
    found = SweepDir(tmp_path / "here" / "far-abcdefgh")
    found.trials_path.mkdir(parents=True)
    record = SweepRecord(
        sweep_id="abcdefgh", name="far", spec_text=SPEC, seed=1, state=SweepState.RUNNING, created=1.0, cwd="/x"
    )
    ledger = Ledger(found.ledger_path)
    ledger.sweep.create(record)
    ledger.close()
    for name, data in {
        "sweep.yaml": SPEC.encode(),
        "best.sh": b"#!/bin/sh\n",
        "code/0123.tar.gz": b"\x1f\x8b no archive",
        "code/0123/t.py": b"unpacked",
        "controller.lock": b"",
        ".pool-1234": b"proof",
        "trials/0000/output.log": b"line\n" * 1000,
        "trials/0000/checkpoints/weights": bytes(range(256)) * 40_000,
        "trials/0001/empty": b"",
    }.items():
        path = found.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (found.path / "best.sh").chmod(0o755)
    (found.path / "trials/0000/latest").symlink_to("checkpoints/weights")
    return found
