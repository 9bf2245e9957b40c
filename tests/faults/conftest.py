import pytest

from tests.faults.warm import WarmSweep


@pytest.fixture(scope="session")
def warm():
    """Runs `sweep` commands on a fake pool."""
    sweep = WarmSweep()
    yield sweep
    sweep.close()
