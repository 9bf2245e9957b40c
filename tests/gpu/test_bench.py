"""What is read back of a sweep: from the real ledger of a sweep whose trials are scripted."""

import json

import pytest

from tests.execution.fake_pool import FakePool, Log, Wait
from tests.gpu.bench import Swept, attempts_in
from tests.gpu.checks.examples import _came_to, _compile_s
from tests.gpu.checks.rates import ends_with
from tests.gpu.judging import ON_GPU, judge
from tests.sweeps import RANDOM, Sweep


def compiles(launch):
    """An epoch of a second; before the first one the first trial compiles for ten seconds, the others for two."""
    yield Wait(10.0 if launch.trial == 0 else 2.0)
    for loss in (0.75, 0.5, 0.25):
        yield Wait(1.0)
        yield Log({"loss": loss, "valid/loss": loss})


@pytest.fixture
def swept(tmp_path):
    """Three such trials, one after the other."""
    made = Sweep(tmp_path, RANDOM.format(run_cap=3))
    made.run(FakePool(1, compiles))
    return Swept(made.dir.path, attempts_in(made.dir.ledger_path), 0)


def test_causes_times_and_last_values_are_those_of_the_ledger(swept):
    """In the order of starts, as JSON can say them; they are what the judge of an example looks at."""
    found = _came_to(swept, "valid/loss")
    assert found["causes"] == ["finished"] * 3
    assert found["values"] == [0.25] * 3
    assert found["seconds"] == pytest.approx(13 + 5 + 5)
    assert judge("gpt-asha", json.loads(json.dumps(found)) | {"asked": 3}, ON_GPU).passed


def test_compiling_is_what_the_first_epoch_takes_longer_than_the_last(swept):
    """Ten seconds, then two."""
    assert [_compile_s(swept, n) for n in range(3)] == pytest.approx([10.0, 2.0, 2.0])


def test_trials_are_counted_from_when_as_many_run_as_were_asked_for():
    """Four run first; two are asked for at 9, and there are two from 11 on."""
    times = [(0, 8), (0, 10), (0, 11), (0, 12), (8, 13), (12, 16), (13, 17), (16, 20), (17, None)]
    attempts = [{"started": began, "ended": ended} for began, ended in times]
    assert ends_with(2, attempts, 9) == [11, 12, 13, 16, 17, 20]
    assert ends_with(4, attempts, 0)[0] == 12
    assert ends_with(1, attempts, 17) == [20]
