"""What all tests share: golden files, directories in memory, a Ray to attach to.

Fakes are shared between test folders by their full name: `from tests.execution.fake_pool import FakePool`.
"""

import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "unhurried", max_examples=50, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")  # how long an example takes is the machine's affair

os.environ["VIRTUAL_ENV"] = (
    sys.prefix
)  # as in an activated environment: trials run in this one, wherever a test's folder is

MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 * 2**30

if (
    MEMORY.is_dir()
    and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC  # tests make programs
):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))  # a ledger waits for the disk at every transaction

sys.path.append(str(Path(__file__).parent.parent))  # at the end: the installed package comes first


gc.set_threshold(10_000)  # most of what is made while tests are collected stays


def pytest_collection_finish():
    gc.freeze()


def pytest_addoption(parser):
    parser.addoption("--golden", action="store_true", help="rewrite the golden files from what the code prints now")


LONGEST_FIRST = (
    "tests/test_readme.py",
    "tests/faults/test_kills.py",
    "tests/cli/test_commands.py",
    "tests/trial/runner/test_runner.py",
    "tests/trial/capture/test_hub.py",
    "tests/execution/test_pool_faults.py",
    "tests/faults/test_signals.py",
    "tests/faults/test_nodes.py",
    "tests/upload/test_uploads.py",
    "tests/trial/test_wandb_modes.py",
    "tests/trial/program/test_bootstrap.py",
    "tests/reporting/page/test_render.py",
    "tests/serve/test_pages.py",
    "tests/test_whole_sweeps.py",
    "tests/faults/test_disk.py",
    "tests/faults/test_crash_points.py",
    "tests/trial/capture/test_wandb_calls.py",
    "tests/cli/commands/test_board.py",
    "tests/cli/commands/test_submit.py",
)
"""Files that take half a minute or more: begun last, one of them would keep one process busy and the others waiting."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    place = {name: n for n, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(place)))


@pytest.fixture(scope="session", autouse=True)
def own_gpus(tmp_path_factory) -> Iterator[None]:
    """The GPUs of tests are not there: sweeps of other test runs do not wait for them. What is remembered is not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SWEEP_LOCK_DIR", str(tmp_path_factory.mktemp("locks")))
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def golden(request) -> Callable[[str, str], None]:
    """Return `check(name, text)`: the text must be that of the file ``golden/<name>`` beside the test."""
    rewrite = request.config.getoption("--golden")

    def check(name: str, text: str) -> None:
        path = request.path.parent / "golden" / name
        if rewrite:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return check


@pytest.fixture(scope="session")
def ray_head() -> Iterator[str]:
    """The address of a Ray that is started once for all tests: a sweep that attaches to it starts in a moment."""
    from tests.scripts import a_head

    with a_head() as address:
        yield address


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WITHOUT_CHROMIUM = "there is no Chromium; with `apt-get install chromium` the pages are tested as well"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; its tests are left out where there is none, which the summary says.

    Per module: while it is open, this thread has an event loop running, in which others could not start theirs.
    """
    if CHROMIUM is None:
        pytest.skip(WITHOUT_CHROMIUM)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


def pytest_terminal_summary(terminalreporter):
    left_out = [r for r in terminalreporter.getreports("skipped") if WITHOUT_CHROMIUM in str(r.longrepr)]
    if left_out:
        terminalreporter.write_line(f"LEFT OUT: {len(left_out)} tests in a browser: {WITHOUT_CHROMIUM}", yellow=True)


@pytest.fixture(scope="session")
def s3_server():
    """A real S3 server, which takes a second to start."""
    from tests.s3_server import S3Server

    server = S3Server()
    yield server
    server.close()
