"""Fakes are shared between test folders by their full name: `from tests.execution.fake_pool import FakePool`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
