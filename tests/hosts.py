"""Two hosts on this machine, a head and a node, each with a network of its own, the node with a disk of its own.

They are namespaces that end with the processes which hold them: nothing of them is left, however a test ends.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from orchestrator.trial.processes import die_with_parent

HEAD, NODE = "10.77.0.1", "10.77.0.2"

RAY = Path(sys.executable).with_name("ray")

RELAY = Path(__file__).with_name("relay.py")

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}


def network_of(pid):
    """What the network of a process is called."""
    return Path(f"/proc/{pid}/ns/net").readlink()


def may_be():
    """Whether processes may be given mounts and networks of their own here."""
    command = ["unshare", "--mount", "--net", "ip", "link", "add", "br0", "type", "bridge"]
    return (
        os.geteuid() == 0
        and bool(shutil.which("bridge"))
        and not subprocess.run(command, check=False, **QUIET).returncode
    )


class Hosts:
    """A head, and a node on which empty disks lie where some of this machine's directories are.

    Args:
        hidden: Those directories, with the size of what lies there instead, as mount's option has it.
        mtu: The largest packet between them, in bytes.

    Attributes:
        head: What a command begins with to run on the head.
        node: The same for the node.
        node_net: What the network of the node's processes is called.
    """

    def __init__(self, hidden, *, mtu=1500):
        mounts = [f'mount -t tmpfs -o size={size} tmpfs "{path}"' for path, size in hidden.items()]
        self._holders = [
            _holder("--net", "true"),
            _holder("--net", "--mount", " && ".join(["mount --make-rprivate /", *mounts])),
        ]
        head, node = (str(holder.pid) for holder in self._holders)
        self.head = ["nsenter", "--net", "--target", head]
        self.node = ["nsenter", "--net", "--mount", "--target", node]
        self.node_net = network_of(node)
        self._mtu = mtu
        self._started = []
        on_head = [
            "link add br0 type bridge",
            f"link add wire mtu {mtu} type veth peer name eth0 mtu {mtu} netns {node}",
            f"addr add {HEAD}/24 dev br0",
            "link set wire master br0 up",
            f"link set br0 mtu {mtu} up",
            "link set lo up",
        ]
        on_node = [f"addr add {NODE}/24 dev eth0", "link set eth0 up", "link set lo up"]
        for host, lines in ((self.head, on_head), (self.node, on_node)):
            for line in lines:
                subprocess.run([*host, "ip", *line.split()], check=True)

    def cut(self):
        """Drop every packet between the two, silently."""
        subprocess.run([*self.head, "bridge", "link", "set", "dev", "wire", "state", "0"], check=True)

    def heal(self):
        """Let them through again."""
        subprocess.run([*self.head, "bridge", "link", "set", "dev", "wire", "state", "3"], check=True)

    def delay(self, seconds):
        """Let every packet take so long on its way, in each direction."""
        for line in (
            "link set wire nomaster",
            "link add far mtu MTU type veth peer name near mtu MTU",
            "link set far up",
            "link set near master br0 up",
        ):
            subprocess.run([*self.head, "ip", *line.replace("MTU", str(self._mtu)).split()], check=True)
        for host, devices in ((self.head, ("br0", "near")), (self.node, ("eth0",))):
            for device in devices:
                subprocess.run([*host, sys.executable, RELAY, device], check=True)
        self.start(self.head, [sys.executable, RELAY, "wire", "far", str(seconds)])

    def start(self, host, command, **how):
        """Start a command on a host; it is asked to end with the hosts, and with this process."""
        words = ["setpriv", "--pdeathsig", "TERM", *host, *map(str, command)]
        self._started.append(subprocess.Popen(words, start_new_session=True, **(QUIET | how)))
        return self._started[-1]

    @property
    def is_up(self):
        """Whether everything that was started runs."""
        return all(process.poll() is None for process in self._started)

    def close(self):
        """End what was started, the last first, and the hosts with it."""
        for process in reversed(self._started):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=60)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for holder in self._holders:
            holder.kill()
            holder.wait()


def _holder(*how):
    """A process that holds namespaces; it is there when they are."""
    *flags, first = how
    command = ["unshare", *flags, "sh", "-c", f"{first} && echo && exec sleep infinity"]
    bound = partial(die_with_parent, os.getpid())
    process = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=bound)  # noqa: PLW1509  no threads yet
    with process.stdout as told:
        assert told.readline() == b"\n"
    return process


def start_ray(hosts, *, variables, temp_dir, port=6379, head=(), node=()):
    """Start a head without trials and a node that comes back when it was thrown out; return the address."""
    common = ["--num-gpus=0", "--block"]
    heads = [
        "start",
        "--head",
        "--num-cpus=0",
        f"--node-ip-address={HEAD}",
        f"--port={port}",
        "--include-dashboard=false",
    ]
    hosts.start(hosts.head, [RAY, *heads, f"--temp-dir={temp_dir}", *common, *head], env=variables)
    nodes = [RAY, "start", f"--address={HEAD}:{port}", f"--node-ip-address={NODE}", *common, *node]
    loop = "trap 'kill $!; wait; exit' TERM; while :; do \"$@\" & wait $!; sleep 0.3; done"
    hosts.start(hosts.node, ["sh", "-c", loop, "sh", *nodes], env=variables)
    address = f"{HEAD}:{port}"
    knock = [sys.executable, "-c", f"from orchestrator.execution.ray.probe import probe; probe({address!r})"]
    while subprocess.run([*hosts.head, *knock], check=False, env=variables, **QUIET).returncode:
        assert hosts.is_up
    return address
