import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.reporting.facts import read_facts
from orchestrator.reporting.importance import importances
from orchestrator.reporting.page.bundle import SCRIPTS
from orchestrator.reporting.page.payload import payload
from orchestrator.reporting.usage import usage_of
from tests.reporting.planted import Plan, ninth_overfits, plant

DENO = Path(sys.executable).with_name("deno")
TWO_METRICS = """
program: train.py
method: random
metrics: [{name: loss}, {name: size}]
parameters: {x: {min: 0.0, max: 1.0}, act: {values: [relu, null]}}
"""


def payload_of(sweep_dir):
    facts = read_facts(sweep_dir)
    return payload(facts, importances(facts), usage_of(facts))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The page's data of 60 trials with every state, a flag and several errors."""
    return payload_of(plant(tmp_path_factory.mktemp("runs"), n=60, play=ninth_overfits))


@pytest.fixture
def check(tmp_path):
    """Return `check(*payloads)`: what TypeScript says about data that the page's scripts are to be given."""

    def run(*payloads):
        lines = [f'import type {{ Payload }} from "{(SCRIPTS / "payload.d.ts").as_uri()}";']
        lines += [f"export const p{i}: Payload = {json.dumps(p)};" for i, p in enumerate(payloads)]
        (tmp_path / "given.ts").write_text("\n".join(lines))
        done = subprocess.run(
            [DENO, "check", "--no-config", "given.ts"],
            cwd=tmp_path,
            env=os.environ | {"DENO_DIR": str(tmp_path / "deno"), "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    return run


def test_the_scripts_know_the_data_they_are_given(digits, tmp_path, check):
    """Real data of sweeps of every kind has the shape that the scripts' types say: nothing is missing, unknown or else."""
    front = plant(
        tmp_path / "front", n=8, spec=TWO_METRICS, play=lambda n, *_: Plan([{"loss": 1 / (n + 1), "size": n}])
    )
    early = plant(tmp_path / "early", n=4, until=0.5)
    assert digits["flags"]
    assert digits["said"]
    code, said = check(digits, payload_of(front), payload_of(early))
    assert code == 0, said


def test_the_scripts_refuse_other_data(digits, check):
    """A key that `payload` leaves out, adds or fills with something else is found when the scripts are checked."""
    missing, unknown, other, inside = (json.loads(json.dumps(digits)) for _ in range(4))
    del missing["lanes"]
    unknown["colour"] = "red"
    other["began"].append("soon")
    del inside["axes"][0]["values"]
    code, said = check(missing, unknown, other, inside)
    assert code != 0
    assert "Found 4 errors" in said
    for complaint in (
        "Property 'lanes' is missing",
        "does not exist in type 'Payload'",
        "Type 'string' is not assignable to type 'number'",
        "Property 'values' is missing",
    ):
        assert complaint in said


def test_every_trial_is_in_every_column(digits):
    """The columns have one entry per trial, and refer to states, labels and positions that there are."""
    columns = [digits[name] for name in ("state", "step", "reports", "began", "ended", "where")]
    columns += [*digits["values"], *(axis["values"] for axis in digits["axes"])]
    assert {len(column) for column in columns} == {60}
    assert set(digits["state"]) <= set(range(len(digits["states"])))
    for axis in digits["axes"]:
        if "labels" in axis:
            assert {v for v in axis["values"] if v is not None} <= set(range(len(axis["labels"])))
    for place, values in digits["curves"]["by_trial"].values():
        assert len(digits["curves"]["positions"][place]) == len(values)
