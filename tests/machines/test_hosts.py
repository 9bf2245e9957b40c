"""What a hosts file may say."""

from pathlib import Path

import pytest

from orchestrator.errors import SweepError
from orchestrator.machines.hosts import Host, Hosts, read_hosts


def read(tmp_path, text):
    path = tmp_path / "hosts.yaml"
    path.write_text(text)
    return read_hosts(path)


def test_a_list_or_a_mapping(tmp_path):
    """Names alone, or everything about a machine; Ray's port where it is another."""
    assert read(tmp_path, "- gpu1\n- gpu2\n") == Hosts(hosts=(Host(host="gpu1"), Host(host="gpu2")))
    text = (
        "ray_port: 7000\nhosts:\n"
        "- {host: gpu1, user: bob, port: 2222, python: /opt/env/bin/python, gpus: 4, address: 10.0.0.1}\n"
    )
    host = Host(host="gpu1", user="bob", port=2222, python="/opt/env/bin/python", gpus=4, address="10.0.0.1")
    assert read(tmp_path, text) == Hosts(hosts=(host,), ray_port=7000)
    assert host.login == ("-p", "2222", "bob@gpu1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hosts: []", "write a list of hosts"),
        ("{}", "write a list of hosts"),
        ("- {port: 3}", "has no `host:`"),
        ("- {host: a, ports: 3}", "ports: no key of a host; there are host, user"),
        ("- {host: a, port: 70000}", "port: 70000 is not a port"),
        ("- {host: a, gpus: -1}", "gpus: -1 is not a number"),
        ("- {host: '-oProxyCommand=x'}", "is not a name or address"),
        ("- {host: a, user: 'b c'}", "user: 'b c' is not a name"),
        ("- {host: a, python: ''}", "is not the path of a Python"),
        ("- a\n- a", "host a stands twice"),
        ("{hosts: [a], port: 3}", "port: no key of hosts files"),
        ("{hosts: [a], ray_port: x}", "ray_port: 'x' is not a port"),
        ("- !!python/object/apply:os.system [x]", "is no YAML"),
        ("a: [", "is no YAML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, words):
    """With the key, the value and what is allowed; nothing that ssh could take for an option."""
    with pytest.raises(SweepError) as raised:
        read(tmp_path, text)
    assert words in str(raised.value)


def test_all_problems_at_once_and_a_file_that_is_not_there(tmp_path):
    """Two of them in one message."""
    with pytest.raises(SweepError, match=r"(?s)port.*gpus"):
        read(tmp_path, "- {host: a, port: x, gpus: y}")
    with pytest.raises(SweepError, match="No such file"):
        read_hosts(tmp_path / "gone.yaml")
    with pytest.raises(SweepError, match="more than"):
        read_hosts(Path("/dev/zero"))
