import json
import os
import signal
import subprocess
import sys
import time

import pytest

from orchestrator.errors import ExitCode, LedgerError, SweepLockedError
from orchestrator.ledger import lock
from orchestrator.ledger.lock import SILENT_S, controlling, holder

HOLD = """
import sys, pathlib
from orchestrator.ledger.lock import controlling
with controlling(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "controller.lock"


@pytest.fixture
def other(path):
    """A real second process that holds the lock."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE_S", 0.1)


def write_holder(path, host, silent_s):
    path.write_text(json.dumps({"host": host, "pid": 77}), encoding="utf-8")
    os.utime(path, times=(time.time() - silent_s, time.time() - silent_s))


def hold(path, **options):
    with controlling(path, **options):
        pass


def test_a_second_controller_is_refused_with_the_name_of_the_first(path, other, impatient):
    """Exit code 6, and what to do."""
    with pytest.raises(SweepLockedError, match=rf"controlled by pid {other.pid} on .+\n.*sweep stop") as caught:
        hold(path)
    assert caught.value.exit_code is ExitCode.LOCKED
    assert holder(path).startswith(f"pid {other.pid} on ")


def test_a_dead_holder_does_not_keep_the_lock(path, other):
    """Kill -9: the kernel lets go, and its name in the file means nothing."""
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert holder(path) is None
    hold(path)


def test_the_lock_is_free_again_after_its_holder_has_left(path):
    """Nobody is named any more."""
    with controlling(path):
        assert holder(path) == f"pid {os.getpid()} on {os.uname().nodename}"
    assert holder(path) is None
    assert path.read_text(encoding="utf-8") == ""


def test_somebody_who_looks_does_not_get_in_the_way(path):
    """`sweep ls` has the lock for a moment; a controller that starts just then waits for it."""
    import fcntl
    import threading

    path.touch()
    with path.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.2, lambda: fcntl.flock(looking, fcntl.LOCK_UN)).start()
        hold(path)


def test_without_a_file_nobody_holds_it(path):
    """A sweep that never had a controller."""
    assert holder(path) is None


def test_a_lock_file_that_says_nonsense_names_nobody(path, other, impatient):
    """It is held all the same."""
    path.write_text("{", encoding="utf-8")
    with pytest.raises(SweepLockedError, match="controlled by another process"):
        hold(path)
    assert holder(path) == "another process"


def test_another_hosts_living_holder_counts_on_a_network_filesystem(path):
    """Its lock may not be seen from here, but it has touched the file just now."""
    write_holder(path, "far-away", silent_s=5)
    assert holder(path, on_network=True) == "pid 77 on far-away"
    with pytest.raises(SweepLockedError, match=r"Is far-away gone\? .* silent for 60 s \(now 5 s\)"):
        hold(path, on_network=True)


def test_another_hosts_silent_holder_is_dead(path):
    """A minute without a sign of life."""
    write_holder(path, "far-away", silent_s=SILENT_S + 1)
    assert holder(path, on_network=True) is None
    hold(path, on_network=True)


def test_on_a_local_filesystem_the_kernel_knows(path):
    """A container that was started anew has another host name; its predecessor is dead if the kernel says so."""
    write_holder(path, "old-container", silent_s=1)
    assert holder(path, on_network=False) is None
    hold(path, on_network=False)


def test_a_holder_on_a_network_filesystem_shows_that_it_lives(path, monkeypatch):
    """The file is touched from a thread, however busy the controller is."""
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.01)
    with controlling(path, on_network=True):
        os.utime(path, times=(0, 0))
        deadline = time.monotonic() + 30
        while path.stat().st_mtime == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_directory_that_cannot_be_written_is_an_error_for_people(tmp_path):
    """It names the file and the reason."""
    with pytest.raises(LedgerError, match="No such file or directory; a sweep can only be run where"):
        hold(tmp_path / "missing" / "controller.lock")


def test_a_filesystem_without_locks_is_an_error_for_people(path, monkeypatch):
    """Lustre without -o flock."""

    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with pytest.raises(LedgerError, match=r"cannot lock files \(Function not implemented\)"):
        hold(path)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "device", "second name", "long"])
def test_what_is_no_lock_is_refused_and_stays_as_it_was(tmp_path, path, kind):
    """A directory that somebody sent may hold anything under the lock's name; nobody's file is emptied over it."""
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "second name":
        path.hardlink_to(victim)
    else:
        path.write_text("{" * 5000)
    with pytest.raises(LedgerError, match="no lock of a sweep's controller"):
        hold(path)
    assert holder(path) is None
    assert victim.read_text() == "precious\n"


@pytest.mark.parametrize("content", ["", "\0\0", "{", '{"host": "a", "pid": 1}', '{"host": '])
def test_what_a_dead_holder_left_is_a_lock(path, content):
    """A full disk or a crash may have cut it short."""
    path.write_text(content)
    hold(path)
    assert path.read_text() == ""
