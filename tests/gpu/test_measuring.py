"""The arithmetic of the checks: on figures made up here."""

import pytest

from orchestrator.trial.runner.gpus import GpuReading
from tests.gpu.checks import seeing
from tests.gpu.checks.rates import per_trial
from tests.gpu.checks.sampling import agreement, read
from tests.gpu.checks.seeing import at_once, unmet
from tests.gpu.checks.starts import summary
from tests.gpu.checks.watching import overhead


def test_overhead_is_the_median_of_pairs_with_its_error():
    """A single slow block does not decide."""
    off = [1.0, 1.0, 1.0, 1.0, 1.0]
    found = overhead({"off": off, "gradients": [1.01, 1.01, 1.01, 1.01, 3.0]}, "gradients")
    assert found["share"] == pytest.approx(0.01)
    assert found["error"] == pytest.approx(0.0)
    assert overhead({"off": off, "gradients": [0.9, 0.95, 1.0, 1.05, 1.1]}, "gradients")["error"] > 0.04
    assert overhead({"off": off, "gradients": off}, "gradients") == {"share": 0.0, "error": 0.0, "n": 5}


def test_a_trial_of_the_script_takes_its_training_and_what_was_added():
    """Ends in any order; four seconds apart with two of training are two more; 20 s of training then make 22."""
    assert per_trial([8.0, 0.0, 4.0], 2.0) == {"n": 3, "added_s": 2.0, "per_hour": pytest.approx(3600 / 22)}


def test_starts_are_compared_by_their_medians():
    """One outlier on either side changes nothing."""
    warm, cold = [(0.1, 0.5), (0.1, 0.5), (9.0, 9.0)], [(3.0, 4.0), (3.0, 4.0), (0.1, 0.1)]
    found = summary(warm, cold)
    assert found == {"n": 3, "warm_s": 0.5, "cold_s": 4.0, "ratio": 8.0, "warm_line_s": 0.1, "cold_line_s": 3.0}


def test_trials_at_once_are_counted_where_most_overlap():
    """One that starts when another ends does not overlap it."""
    assert at_once([(0, 2), (1, 3), (2, 4), (10, 11)]) == 2
    assert at_once([]) == 0


def test_nvidia_smi_is_read_with_and_without_a_power_draw():
    """It has words where it has no number."""
    assert read("98, 2001, 510.25\n") == (98.0, 2001.0, 510.25)
    assert read("0, 600, [N/A]\n") == (0.0, 600.0, None)


def test_samples_of_both_sides_are_compared_by_their_medians():
    """In the same units."""
    reading = GpuReading(name="g", busy=0.5, used_bytes=1 << 30, total_bytes=80 << 30, power_w=300.0)
    found = agreement([(reading, (50.0, 1024.0, 301.0)), (reading, (51.0, 1024.0, None))])
    assert found == {"busy": [50.0, 50.5], "used_mib": [1024.0, 1024.0], "power_w": [300.0, 301.0]}


def test_a_package_that_is_lacking_below_others_is_named_with_who_needs_it(monkeypatch):
    """A wheel that did not travel shows in the table's first row, whoever needs it."""
    own = seeing.metadata.version

    def version(name):
        if name == "attrs":
            raise seeing.metadata.PackageNotFoundError
        return own(name)

    monkeypatch.setattr(seeing.metadata, "version", version)
    found = unmet("sweep-orchestrator")
    assert found
    assert all(line.startswith("attrs>=") and line.endswith("(here: not installed)") for line in found)


def test_requirements_that_what_is_installed_does_not_meet_are_named():
    """Here the locked versions are installed, which meet all."""
    assert unmet("sweep-orchestrator") == []
