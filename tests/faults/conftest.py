import pytest

from tests.faults.real import RealSweep
from tests.faults.warm import WarmSweep


@pytest.fixture(scope="session")
def warm():
    """Runs `sweep` commands on a fake pool."""
    sweep = WarmSweep()
    yield sweep
    sweep.close()


@pytest.fixture
def real(tmp_path):
    """Return `make(**how)`: a real sweep in the test's directory."""
    made = []

    def make(**how):
        directory = tmp_path / f"sweep{len(made)}"
        directory.mkdir(exist_ok=True)
        made.append(RealSweep(directory, **how))
        return made[-1]

    yield make
    for sweep in made:
        sweep.close()
