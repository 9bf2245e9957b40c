"""Heads by ssh: a real sshd on loopback, where there is one."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from orchestrator.cli.heads import serve_there
from orchestrator.errors import ClusterError, SweepError
from orchestrator.remote import ssh_head
from orchestrator.remote.address import Address
from orchestrator.remote.request import Request
from orchestrator.remote.ssh_head import SshHead
from tests.cli.shell import SWEEP

SSHD = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/bin")

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {here}/host
PidFile none
AuthorizedKeysFile {here}/me.pub
StrictModes no
UsePAM no
PasswordAuthentication no
"""

CLIENT = """\
#!/bin/sh
exec {ssh} -F none -i {here}/me -o StrictHostKeyChecking=no -o UserKnownHostsFile={here}/known -o LogLevel=ERROR "$@"
"""


@pytest.fixture
def address(tmp_path, monkeypatch):
    """The address of an sshd, whose host this user may enter."""
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("needs OpenSSH's sshd and ssh")
    for name in ("host", "me"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "config").write_text(CONFIG.format(port=port, here=tmp_path))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh").write_text(CLIENT.format(ssh=shutil.which("ssh"), here=tmp_path))
    (tmp_path / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"/tmp/t{os.getpid()}")
    monkeypatch.setattr(ssh_head, "PERSIST_S", 1)
    Path(f"/tmp/t{os.getpid()}").mkdir(exist_ok=True)
    with subprocess.Popen([SSHD, "-D", "-e", "-f", tmp_path / "config"], stderr=subprocess.PIPE, text=True) as server:
        deadline = time.monotonic() + 10
        while not _answers(port):
            if server.poll() is not None or time.monotonic() > deadline:
                server.kill()
                pytest.skip(f"sshd does not run here: {server.stderr.read()[-200:]}")
            time.sleep(0.05)
        yield Address(scheme="ssh", host="127.0.0.1", port=port, user=getpass.getuser(), place=str(SWEEP.parent.parent))
        server.terminate()
    shutil.rmtree(f"/tmp/t{os.getpid()}", ignore_errors=True)


def _answers(port):
    with socket.socket() as link:
        return link.connect_ex(("127.0.0.1", port)) == 0


def test_a_command_runs_there(address, tmp_path):
    """It reads what is sent, its output comes, and its exit code."""
    said = bytearray()
    runs = str(tmp_path / "runs")
    code = SshHead(address).call(Request(words=["ls", "--json"], runs_dir=runs), out=said.extend)
    assert (code, bytes(said)) == (0, b"[]\n")
    assert SshHead(address).call(Request(words=["show", "nope"], runs_dir=runs), out=said.extend) == 2
    assert SshHead(address).call(Request(words=["land"]), stdin=b"x" * 300_000, out=said.extend) == 2
    assert SshHead(address).interact(Request(words=["ls"], runs_dir=runs), has_terminal=False) == 0


def test_a_host_without_sweep_and_one_that_is_not_there_are_said(address):
    """With how to name an environment, and the command that shows what is wrong."""
    where = {"scheme": "ssh", "host": "127.0.0.1", "user": address.user}
    with pytest.raises(SweepError, match="not installed on the head"):
        SshHead(Address(**where, port=address.port, place="/nowhere")).call(Request(words=["ls"]), out=print)
    with pytest.raises(ClusterError, match=r"ssh -p 1 \w+@127"):
        SshHead(Address(**where, port=1)).call(Request(words=["ls"]), out=print)


def test_connections_have_a_directory_wherever_the_session_has_none(monkeypatch, tmp_path):
    """A variable that names none is passed over; what lies in the way is said."""
    monkeypatch.setattr(ssh_head.tempfile, "gettempdir", lambda: str(tmp_path))
    place = tmp_path / f"sweep-ssh-{os.getuid()}"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nowhere"))
    assert ssh_head._sockets() == place
    place.rmdir()
    place.touch()
    with pytest.raises(SweepError, match="no directory for ssh"):
        ssh_head._sockets()


def test_a_directory_of_somebody_else_is_not_used(monkeypatch, tmp_path):
    """Connections that stay open are this user's alone."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / f"sweep-ssh-{os.getuid()}").mkdir(mode=0o777)
    (tmp_path / f"sweep-ssh-{os.getuid()}").chmod(0o777)
    with pytest.raises(SweepError, match="not yours alone"):
        SshHead(Address(scheme="ssh", host="x")).interact(Request(words=["ls"]), has_terminal=False)


SERVE = """\
import sys
from orchestrator.cli.main import main
from orchestrator.remote import ssh_head
ports = [int(port) for port in sys.argv.pop().split(",")]
ssh_head.secrets.choice = lambda _: ports.pop(0)
main()
"""


def test_pages_from_there_are_at_a_port_here_whatever_is_taken_there(address, tmp_path):
    """There and here may be one machine: a port there that is taken costs another try, one here is said."""
    with socket.socket() as taken, socket.socket() as free:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free.bind(("127.0.0.1", 0))
        drawn = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        with pytest.raises(SweepError, match="another with --port"):
            serve_there(address, ["serve"], drawn[0], None, runs_dir=None, quiet=True)
        words = ["serve", "-q", "--at", str(address), "--runs-dir", str(tmp_path / "runs"), "{},{}".format(*drawn)]
        command = [sys.executable, "-c", SERVE, *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as serving:
            try:
                said = serving.stdout.readline().strip()
                assert said.startswith("http://127.0.0.1:"), said
                assert urlsplit(said).port not in drawn
                with urllib.request.urlopen(said, timeout=30) as page:
                    assert page.status == 200
            finally:
                os.killpg(serving.pid, signal.SIGINT)
    assert not _answers(drawn[1])
