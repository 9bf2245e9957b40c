"""The hosts file: which machines a cluster is made of, the first of them its head."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestrator.errors import SweepError
from orchestrator.printable import clean

WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:%-]*")
"""Names of hosts and users, and addresses: nothing that ssh could take for an option, nor a shell for more."""

KEYS = {
    "host": "a name or address that ssh knows",
    "user": "a name",
    "port": "a port from 1 to 65535",
    "python": "the path of a Python that has Ray",
    "gpus": "a number from 0 on",
    "address": "an address that the other machines reach it at",
}
MOST_PORT = 65535
LARGEST = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A machine.

    Attributes:
        host: What ssh is given.
        user: Who logs in; None for ssh's own choice.
        port: Of its ssh server; None as before.
        python: What has Ray there.
        gpus: GPUs that Ray gives out; None for those that it finds.
        address: What the other machines reach it at; None for what it thinks itself.
    """

    host: str
    user: str | None = None
    port: int | None = None
    python: str = "python3"
    gpus: int | None = None
    address: str | None = None

    @property
    def login(self) -> tuple[str, ...]:
        """What ssh is given."""
        port = () if self.port is None else ("-p", str(self.port))
        return (*port, self.host if self.user is None else f"{self.user}@{self.host}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """The machines of a cluster; `ray_port` is the port of the head that Ray's nodes join at."""

    hosts: tuple[Host, ...]
    ray_port: int = 6379


def read_hosts(path: Path) -> Hosts:
    """Read a hosts file: a list of hosts, each a name or a mapping, or a mapping with `hosts` and `ray_port`.

    Raises:
        SweepError: It is none; names every problem.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise SweepError(f"{path} is no hosts file: it has more than {LARGEST:,} bytes")
        found = yaml.safe_load(data.decode("utf-8-sig"))
    except OSError as error:
        raise SweepError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise SweepError(f"{path} is no YAML: {error}") from error
    problems: list[str] = []
    rest = found if isinstance(found, dict) else {"hosts": found}
    problems += [
        f"{clean(str(key))}: no key of hosts files; there are hosts, ray_port"
        for key in set(rest) - {"hosts", "ray_port"}
    ]
    ray_port = rest.get("ray_port", 6379)
    if not _is_port(ray_port):
        problems.append(f"ray_port: {clean(repr(ray_port))} is not {KEYS['port']}")
    listed = rest.get("hosts")
    if not isinstance(listed, list) or not listed:
        problems.append("hosts: write a list of hosts, such as `- host: gpu1`; the first is the head")
        listed = []
    hosts = [_host(n, entry, problems) for n, entry in enumerate(listed, 1)]
    names = [(host.host, host.port, host.user) for host in hosts if host is not None]
    problems += [f"host {name[0]} stands twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    if problems:
        raise SweepError(f"{path} is no hosts file:\n" + "\n".join(f"  {problem}" for problem in problems))
    return Hosts(hosts=tuple(host for host in hosts if host is not None), ray_port=ray_port)


def _host(number: int, entry: Any, problems: list[str]) -> Host | None:
    given = {"host": entry} if isinstance(entry, str) else entry
    if not isinstance(given, dict) or "host" not in given:
        problems.append(f"host {number}: {clean(repr(entry))} has no `host:`")
        return None
    unknown = [clean(str(key)) for key in given if key not in KEYS]
    wrong = [key for key, value in given.items() if key in KEYS and not _fits(key, value)]
    problems += [f"host {number}: {key}: no key of a host; there are {', '.join(KEYS)}" for key in unknown]
    problems += [f"host {number}: {key}: {clean(repr(given[key]))} is not {KEYS[key]}" for key in wrong]
    return None if unknown or wrong else Host(**given)


def _fits(key: str, value: Any) -> bool:
    if key == "port":
        return _is_port(value)
    if key == "gpus":
        return type(value) is int and value >= 0
    if key == "python":
        return isinstance(value, str) and bool(value) and value.isprintable() and not value.startswith("-")
    return isinstance(value, str) and WORD.fullmatch(value) is not None


def _is_port(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MOST_PORT
