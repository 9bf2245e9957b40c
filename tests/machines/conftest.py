"""Machines to log in to: real ssh servers of this user where there are, else a program that stands in for ssh."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
import yaml

from orchestrator.trial.processes import die_with_parent

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
SSH = shutil.which("ssh")

STAND_IN = """#!{python}
import os, sys
words = sys.argv[1:]
if "-O" in words:
    sys.exit(0)
home = os.path.join({homes!r}, words[words.index("-p") + 1])
if not os.path.isdir(home):
    sys.exit("ssh: connect to host: Connection refused") if print("ssh: Connection refused", file=sys.stderr) else sys.exit(255)
os.chdir(home)
os.execve("/bin/sh", ["sh", "-c", words[-1]], {{**os.environ, "HOME": home, "PYTHONPATH": home + "/lib"}})
"""

ENDER = """
import os, signal, sys, time
from contextlib import suppress
mark = b"HOME=" + os.fsencode(sys.argv[1])
def is_marked(pid):
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
        return any(each.startswith(mark) for each in file.read().split(bytes(1)))
sys.stdin.read()
while found := [int(name) for name in os.listdir("/proc") if name.isdigit() and is_marked(name)]:
    for pid in found:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
"""
"""Ends what runs on the machines when the tests are over, also where they were killed."""

FAKE_RAY = """
import os, signal, subprocess, sys, time
def main():
    with open(os.path.expanduser("~/calls"), "a") as file:
        file.write(" ".join(sys.argv[1:]) + chr(10))
    if os.path.exists(os.path.expanduser("~/broken")):
        sys.exit("ConnectionError: ray cannot start here")
    raylet = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    print("Ray runtime started.", flush=True)
    def end(*_):
        raylet.kill()
        sys.exit(0)
    signal.signal(signal.SIGTERM, end)
    with open(os.path.expanduser("~/raylet"), "w") as file:
        file.write(str(raylet.pid))
    raylet.wait()
    print("2026-11-27 07:58:45,093 ERR scripts.py:87 -- raylet [exit code=-9]", flush=True)
    subprocess.Popen(["sleep", "1000"], start_new_session=True)  # what Ray leaves behind
    sys.exit(1)
"""


def marked(home):
    """The processes that a machine has because of the cluster."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SWEEP_CLUSTER_DIR", "").startswith(str(home)) and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


class Machines:
    """Machines by number, each with a home directory of its own.

    Attributes:
        hosts: What a hosts file says of them.
        homes: Where their users are at home.
    """

    def __init__(self, path, n):
        self.path, self.ports, self.servers = path, [], []
        while len(self.ports) < n:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.ports.append(free.getsockname()[1])
        self.homes = [path / "homes" / str(port) for port in self.ports]
        for home in self.homes:
            (home / "lib/ray/scripts").mkdir(parents=True)
            (home / "lib/ray/__init__.py").touch()
            (home / "lib/ray/scripts/__init__.py").touch()
            (home / "lib/ray/scripts/scripts.py").write_text(FAKE_RAY)
        self.hosts = [{"host": "127.0.0.1", "port": port, "python": sys.executable} for port in self.ports]
        (path / "bin").mkdir()
        command = [sys.executable, "-c", ENDER, f"{path / 'homes'}/"]
        self._ender = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        if SSHD and SSH:
            self._serve()
        else:
            self._stand_in()

    def write(self, **more):
        """Write the hosts file and return its path."""
        path = self.path / "hosts.yaml"
        path.write_text(yaml.safe_dump({"hosts": self.hosts, "ray_port": self.ports[0], **more}))
        return path

    def close(self):
        for server in self.servers:
            server.terminate()
            server.wait()
        self._ender.communicate()

    def _stand_in(self):
        program = self.path / "bin/ssh"
        program.write_text(STAND_IN.format(python=sys.executable, homes=str(self.path / "homes")))
        program.chmod(0o755)

    def _serve(self):
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        for name in ("id", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path / name], check=True)
        self.path.chmod(0o700)
        for port, home in zip(self.ports, self.homes, strict=True):
            config = self.path / f"sshd-{port}"
            lines = [
                f"Port {port}",
                "ListenAddress 127.0.0.1",
                f"HostKey {self.path / 'key'}",
                f"AuthorizedKeysFile {self.path / 'id.pub'}",
                "StrictModes no",
                "UsePAM no",
                "PidFile none",
                "PasswordAuthentication no",
                f"SetEnv HOME={home} PYTHONPATH={home}/lib",
            ]
            config.write_text("\n".join(lines) + "\n")
            self.servers.append(
                subprocess.Popen(
                    [SSHD, "-D", "-f", config],
                    stderr=subprocess.DEVNULL,
                    stdin=subprocess.DEVNULL,
                    preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - no test has threads yet
                )
            )
        client = self.path / "ssh-config"
        options = ["StrictHostKeyChecking no", "UserKnownHostsFile /dev/null", "LogLevel ERROR", "IdentitiesOnly yes"]
        client.write_text("\n".join([*options, f"IdentityFile {self.path / 'id'}", f"User {getpass.getuser()}"]) + "\n")
        program = self.path / "bin/ssh"
        program.write_text(f'#!/bin/sh\nexec {SSH} -F {client} "$@"\n')
        program.chmod(0o755)
        for port in self.ports:
            self._await(port)

    @staticmethod
    def _await(port):
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
        raise AssertionError("no ssh server")


@pytest.fixture
def machines(tmp_path, monkeypatch):
    """Return `make(n)`."""
    made = []

    def make(n):
        made.append(Machines(tmp_path, n))
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        return made[-1]

    yield make
    for each in made:
        each.close()
