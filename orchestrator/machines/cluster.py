"""A Ray on machines behind ssh: up, down, and how it stands. Each machine has an outcome of its own; none hides another's."""

import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from orchestrator.machines.hosts import Host, Hosts
from orchestrator.machines.ssh import HostError, Ssh

AT_ONCE = 32
"""Machines that are asked at the same time."""

START_S = 120.0
"""How long Ray may take to start on a machine; importing it from a cold disk is most of that."""

TRIES = 2
"""Failures after which it is said: under load Ray's own 30 seconds for a node may be too few once."""

LOOK_S = 0.5


Standing: TypeAlias = Literal["up", "starting", "down", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one machine.

    Attributes:
        host: Which.
        standing: How its Ray is.
        what: What is to be said; empty when the standing says it.
        mend: What to do, where something is wrong.
        answer: What it said last; None where it said nothing.
    """

    host: Host
    standing: Standing
    what: str = ""
    mend: str = ""
    answer: dict[str, Any] | None = None


def status(hosts: Hosts, ssh: Ssh) -> list[Outcome]:
    """Return how each machine stands."""
    return _each(hosts.hosts, lambda host: _standing(host, _ask(ssh, host, hosts, "status")))


def up(hosts: Hosts, ssh: Ssh) -> list[Outcome]:
    """Start Ray where it does not run, the head first, and wait until it does. What runs stays as it is."""
    looked = dict(zip(hosts.hosts, status(hosts, ssh), strict=True))
    head, *others = hosts.hosts
    begun = _begin(head, hosts, ssh, looked[head], head=looked[head], address=None)
    if begun.standing != "up" or begun.answer is None:
        because = f"the head {head.host} is not up"
        return [begun, *(_behind(looked[host], because) for host in others)]
    address = f"{head.address or begun.answer['address']}:{hosts.ray_port}"
    return [begun, *_each(others, lambda host: _begin(host, hosts, ssh, looked[host], head=begun, address=address))]


def down(hosts: Hosts, ssh: Ssh) -> list[Outcome]:
    """End Ray on each machine, the head last, and remove what was written there."""
    head, *others = hosts.hosts
    ended = _each(others, lambda host: _end(host, hosts, ssh))
    return [_end(head, hosts, ssh), *ended]


def _each(hosts: Sequence[Host], do: Callable[[Host], Outcome]) -> list[Outcome]:
    def guarded(host: Host) -> Outcome:
        try:
            return do(host)
        except HostError as error:
            return Outcome(host=host, standing="failed", what=str(error), mend=error.mend)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(guarded, hosts))


def _ask(ssh: Ssh, host: Host, hosts: Hosts, do: str, **more: Any) -> dict[str, Any]:
    return ssh.ask(host, {"do": do, "ray_port": hosts.ray_port, **more})


def _standing(host: Host, answer: dict[str, Any]) -> Outcome:
    kept = answer["kept"]
    if kept is None:
        return Outcome(host=host, standing="down", answer=answer)
    if kept["up"]:
        return Outcome(host=host, standing="up", answer=answer)
    last = kept["last"]
    mend = f"it is tried again and again; {answer['log']} there says more" if last else ""
    return Outcome(host=host, standing="starting", what=last, mend=mend, answer=answer)


def _behind(outcome: Outcome, because: str) -> Outcome:
    """A machine that was not touched because the head failed."""
    if outcome.standing == "failed":
        return outcome
    return Outcome(host=outcome.host, standing=outcome.standing, what=because, answer=outcome.answer)


def _begin(host: Host, hosts: Hosts, ssh: Ssh, looked: Outcome, *, head: Outcome, address: str | None) -> Outcome:
    """Start Ray on a machine; `address` is where it joins, None on the head itself."""
    if looked.answer is None or looked.standing == "up":
        return looked
    refused = _unfit(looked.answer, head)
    if refused is not None:
        return Outcome(host=host, standing="failed", what=refused[0], mend=refused[1], answer=looked.answer)
    token = (head.answer or {}).get("token") or secrets.token_hex(32)
    arguments = (
        ["--head", f"--port={hosts.ray_port}", "--dashboard-host=127.0.0.1"]
        if address is None
        else [f"--address={address}"]
    )
    arguments += [f"--num-gpus={host.gpus}"] if host.gpus is not None else []
    arguments += [f"--node-ip-address={host.address}"] if host.address is not None else []
    try:
        answer = _ask(ssh, host, hosts, "up", token=token, arguments=arguments)
        return _started(host, hosts, ssh, answer, is_head=address is None)
    except HostError as error:
        return Outcome(host=host, standing="failed", what=str(error), mend=error.mend)


def _started(host: Host, hosts: Hosts, ssh: Ssh, answer: dict[str, Any], *, is_head: bool) -> Outcome:
    """Wait until Ray runs. A head begun just now that does not is ended again: nobody could join it."""
    until_s = time.monotonic() + START_S
    outcome = _standing(host, answer)
    n_before = _n_restarts(outcome)
    while outcome.standing == "starting" and _n_restarts(outcome) - n_before < TRIES and time.monotonic() < until_s:
        time.sleep(LOOK_S)
        outcome = _standing(host, _ask(ssh, host, hosts, "status"))
    if outcome.standing == "up":
        return outcome
    what = outcome.what or f"Ray does not start within {START_S:.0f} s"
    if not (is_head and answer["began"]):
        return Outcome(host=host, standing="starting", what=what, mend=outcome.mend, answer=outcome.answer)
    _ask(ssh, host, hosts, "down")
    mend = f"is port {hosts.ray_port} taken there, by another Ray? `ray_port:` names another; else try again"
    return Outcome(host=host, standing="failed", what=what, mend=mend, answer=outcome.answer)


def _n_restarts(outcome: Outcome) -> int:
    """How often Ray has ended since its loop began."""
    kept = (outcome.answer or {}).get("kept")
    return int(kept["restarts"]) if kept else 0


def _unfit(answer: dict[str, Any], head: Outcome) -> tuple[str, str] | None:
    """Why a machine cannot have a node of this head, and what to do; None when it can."""
    there, python = answer["ray"], answer["executable"]
    if there is None:
        wanted = (head.answer or {}).get("ray")
        return (
            f"{python} has no Ray",
            f"`{python} -m pip install ray{f'=={wanted}' if wanted else ''}` there, or mend `python:`",
        )
    if head.answer is None:
        return None
    for name, package in (("ray", "Ray"), ("python", "Python")):
        if answer[name] != head.answer[name]:
            return (
                f"{python} has {package} {answer[name]}, the head {head.host.host} {head.answer[name]}",
                f"they must be the same: install {package} {head.answer[name]} there, or name another with `python:`",
            )
    return None


def _end(host: Host, hosts: Hosts, ssh: Ssh) -> Outcome:
    try:
        answer = _ask(ssh, host, hosts, "down")
    except HostError as error:
        return Outcome(host=host, standing="failed", what=str(error), mend=error.mend)
    return Outcome(host=host, standing="down", what="" if answer["was_there"] else "nothing was there")
