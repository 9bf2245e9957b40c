"""`sweep serve` is ended by those who started it."""

import signal
import subprocess
import sys

import pytest

from tests.cli.shell import start

SLOW = """
import sys, time
from orchestrator.cli.main import main
from orchestrator.serve.hub import Hub
from orchestrator.serve.server import Server

def read(self):
    self.executor.submit(time.sleep, 600)
    print("busy", flush=True)

def close(self):
    print("ending", flush=True)
    time.sleep(600)

{patch}
sys.argv = ["sweep", "serve", "--quiet", "--port", "0"]
main()
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("patch", "awaited"), [("Server.warm = read", ["busy"]), ("Hub.close = close", [None, "ending"])]
)
def test_it_ends_whatever_it_does(tmp_path, patch, awaited, end):
    """An analysis that takes long is not waited for; whoever asks again waits for nothing. Neither is a failure."""
    command = [sys.executable, "-c", SLOW.replace("{patch}", patch)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline().startswith("http://127.0.0.1:")
            for line in awaited:
                assert line is None or process.stdout.readline().strip() == line
                process.send_signal(end)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0
    assert not said.strip()


def test_a_token_that_lies_in_a_file_is_not_printed(tmp_path):
    """Logs are read by more people than the file; where it is is said."""
    path = tmp_path / "token"
    with start("serve", "--port", "0", "--token-file", str(path), "--runs-dir", str(tmp_path), cwd=tmp_path) as serving:
        said = [serving.stderr.readline() for _ in range(2)]
        serving.send_signal(signal.SIGINT)
        said += serving.communicate(timeout=60)
    assert f"it is in {path}" in said[1]
    assert path.read_text().strip() not in "".join(said)
