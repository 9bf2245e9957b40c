"""What searches proposed before: a spec keeps its configs from one release to the next."""

import json
import math
from pathlib import Path

import pytest

from orchestrator.spec import load_dict

GOLDEN = json.loads((Path(__file__).parent / "golden" / "configs.json").read_text(encoding="utf-8"))
"""By name, a spec and the configs of its first 14 trials, two at a time, with seed 11. Searches that fit a Gaussian process or a
covariance matrix are left out: their last digits are those of the machine's linear algebra."""


def nearly(one, other):
    """Whether two configs are one but for the last digits, which are those of the machine's logarithms."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(nearly(one[key], other[key]) for key in one)
    return one == other or (isinstance(one, float) and math.isclose(one, other, rel_tol=1e-12))


def loss(config):
    total = sum(len(str(value)) % 5 for value in config.values())
    return None if total % 4 == 3 else (float(total) + config.get("lr", config.get("a", 0)),)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_spec_gives_the_configs_it_gave(name, sweep):
    """Grids, draws and Optuna's samplers by name go on as ever, failures and all."""
    spec = load_dict(GOLDEN[name]["spec"], needs_program=False).require()
    known = GOLDEN[name]["configs"]
    trials = sweep(spec, lambda config: loss(next(k for k in known if nearly(config, k))), n=14, seed=11, parallel=2)
    configs = [json.loads(json.dumps(trial.config)) for trial in sorted(trials, key=lambda trial: trial.number)]
    assert [nearly(*pair) for pair in zip(configs, known, strict=True)] == [True] * 14
