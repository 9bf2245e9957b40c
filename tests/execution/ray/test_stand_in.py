import subprocess
import sys
import time

import pytest

from orchestrator.execution.ray import stand_in

NODE = "c9d6b24931c1"


@pytest.mark.parametrize("agent", stand_in.PORTS)
def test_it_says_what_ray_waits_for_and_ends_with_its_parent(tmp_path, agent):
    """Every port of the agent is in a file of its own; a parent that is killed takes it along."""
    command = [sys.executable, "-I", "-S", stand_in.__file__, f"/ray/{agent}"]
    command += [f"--node-id={NODE}", f"--session-dir={tmp_path}", "--minimal", "--log-dir=a=b"]
    names = {f"{name}_{NODE}": str(port) for name, port in stand_in.PORTS[agent].items()}
    starts = [sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])", *command]
    with subprocess.Popen(starts, stdout=subprocess.PIPE) as parent:
        deadline = time.monotonic() + 60
        while {path.name: path.read_text() for path in tmp_path.iterdir() if path.suffix != ".unfinished"} != names:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        parent.kill()
        parent.stdout.read()  # to its end, which comes when the child, which has it too, is gone
