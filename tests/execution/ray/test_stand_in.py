import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.execution.ray import stand_in

NODE = "c9d6b24931c1"


@pytest.fixture
def command(tmp_path, request):
    """What a raylet starts in place of an agent; its ports are written into the test's directory."""
    options = [f"--node-id={NODE}", f"--session-dir={tmp_path}", "--minimal", "--log-dir=a=b"]
    return [sys.executable, "-I", "-S", stand_in.__file__, f"/ray/{request.param}", *options]


@pytest.mark.parametrize("command", stand_in.PORTS, indirect=True)
def test_it_says_what_ray_waits_for_and_ends_with_its_raylet(tmp_path, command):
    """Every port of the agent is in a file of its own; a raylet that is killed takes it along."""
    raylet = tmp_path / stand_in.RAYLET
    raylet.symlink_to("/bin/sh")
    names = {f"{name}_{NODE}": str(port) for name, port in stand_in.PORTS[Path(command[4]).name].items()}
    with subprocess.Popen([raylet, "-c", '"$@"; true', "sh", *command], stdout=subprocess.PIPE) as parent:
        deadline = time.monotonic() + 60
        while any(not path.exists() or path.read_text() != port for path, port in written(tmp_path, names)):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert parent.poll() is None
        parent.kill()
        parent.stdout.read()  # to its end, which comes when the child, which has it too, is gone


def written(folder, names):
    return [(folder / name, port) for name, port in names.items()]


@pytest.mark.parametrize("command", ["agent.py"], indirect=True)
def test_it_ends_where_its_raylet_is_gone_already(command):
    """A raylet may be killed while its children start: whoever gets them then is another process."""
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
