"""Ask a Ray cluster who it is, in a process of its own: ``python -m orchestrator.execution.ray.probe ADDRESS``.

Ray's client retries for minutes, logs from C++ straight to stderr and may abort the process when a cluster is not what
it expects. Here that costs a child process and a time limit, not the controller.
"""

import contextlib
import io
import json
import os
import platform
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass

from orchestrator.errors import ClusterError
from orchestrator.execution.ray.authentication import authenticate, has_token, raylet

PROBE_S = 25.0
"""How long a cluster may take to answer; importing Ray on a cold disk is most of it."""

CONNECT_S = 5.0
"""How long a TCP connection to the head may take."""

OLDEST_PYTHON = (3, 11)
"""The oldest Python that `sweep` itself runs in."""

START_ONE = "Start one with `ray start --head`, or leave out --address to run on this machine alone."


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a cluster answered.

    Attributes:
        address: ``host:port`` of its GCS.
        ray_version: Version of Ray it runs; empty when it does not say.
        python_version: Version of Python it runs; empty when it does not say.
        auth_mode: The RAY_AUTH_MODE that it is to be joined with.
        refused: Whether it asks for a token, and not for the one that was shown to it.
        error: What went wrong, for the user; empty when nothing did.
    """

    address: str = ""
    ray_version: str = ""
    python_version: str = ""
    auth_mode: str = ""
    refused: bool = False
    error: str = ""


def probe(address: str) -> Probe:
    """Return what the cluster at ``host:port`` or ``auto`` says about itself.

    Raises:
        ClusterError: Nothing that this machine can use as Ray is there; says why and what to do.
    """
    command = [sys.executable, "-P", "-m", "orchestrator.execution.ray.probe", address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, check=False)
    except subprocess.TimeoutExpired:
        raise ClusterError(
            f"{address} does not answer as a Ray cluster within {PROBE_S:g} s. Is it the address of the head's GCS "
            "(port 6379 by default; 8265 is the dashboard, 10001 the Ray client)?"
        ) from None
    try:
        answer = Probe(**json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise ClusterError(f"asking the Ray cluster at {address} failed: {last[0]}") from None
    if answer.error:
        raise ClusterError(answer.error)
    _check_versions(answer)
    return answer


def knock(address: str, *, timeout_s: float) -> None:
    """Open a TCP connection to ``host:port`` and close it.

    Raises:
        OSError: Nobody takes it within that many seconds.
        ValueError: The port is no number.
    """
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s).close()


def _check_versions(answer: Probe) -> None:
    from importlib.metadata import version

    ray, python = version("ray"), platform.python_version()
    there, there_python = answer.ray_version or ray, answer.python_version or python
    if (there, _minor(there_python)) == (ray, _minor(python)):
        return
    raise ClusterError(
        f"the cluster at {answer.address} runs Ray {there} in Python {there_python}, this `sweep` Ray {ray} in Python "
        f"{python}: Ray's version and the first two numbers of Python's must be the same.\n"
        f"  {_mend(ray=ray, python=python, there=there, there_python=there_python)}"
    )


def _mend(*, ray: str, python: str, there: str, there_python: str) -> str:
    """What brings the two together: a `sweep` for the cluster, where there is one, and a cluster for this `sweep`."""
    cluster = f"Ray of the cluster: `pip install ray=={ray}` in a Python {_minor(python)} on every node"
    if _minor(there) != _minor(ray):
        return f"This `sweep` works with Ray {_minor(ray)}. {cluster}."
    if tuple(map(int, _minor(there_python).split("."))) < OLDEST_PYTHON:
        return f"`sweep` needs Python {'.'.join(map(str, OLDEST_PYTHON))} or newer. {cluster}."
    here = f"uv tool install --python {_minor(there_python)} --with ray=={there} sweep-orchestrator"
    return f"`sweep` for the cluster: `{here}`. {cluster}."


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _ask(address: str) -> Probe:
    from ray._private import services

    services.logger.disabled = True
    try:
        resolved = services.canonicalize_bootstrap_address(address)
    except (ConnectionError, ValueError, OSError) as error:
        return Probe(error=f"--address {address}: {error}")
    if resolved is None:
        return Probe(error=f"no Ray cluster runs on this machine. {START_ONE}")
    return _refusal(resolved) or _in_its_mode(resolved)


def _refusal(address: str) -> Probe | None:
    try:
        knock(address, timeout_s=CONNECT_S)
    except (OSError, ValueError) as error:
        return Probe(error=f"nothing answers at {address} ({error}). {START_ONE}")
    return None


def _in_its_mode(address: str) -> Probe:
    """Ask without a token first: one that only this machine has would join, but no worker could be started from here.

    That holds for RAY_AUTH_MODE=token, too; a user who has disabled tokens has none shown.
    """
    wanted = os.environ.get("RAY_AUTH_MODE")
    authenticate({"RAY_AUTH_MODE": "disabled"})
    found = _metadata(address)
    if not found.refused or wanted == "disabled" or not has_token():
        return found
    authenticate({"RAY_AUTH_MODE": "token"})
    return _metadata(address)


def _metadata(address: str) -> Probe:
    from ray._common.usage.usage_lib import get_cluster_metadata
    from ray._private import services

    try:
        client = raylet().GcsClient(address=address)
        about = get_cluster_metadata(client) or {}
    except Exception as error:  # noqa: BLE001  Ray raises whatever the transport gave
        return Probe(error=_explained(address, str(error)), refused=_asks_for_token(str(error)))
    try:
        services.get_node_to_connect_for_driver(client, timeout_seconds=5)
    except Exception:  # noqa: BLE001  as above: the only news is that there is no node
        return Probe(
            error=f"the cluster at {address} has no node on this machine ({socket.gethostname()}). Run `sweep` on one "
            f"of its nodes, or add this machine: `ray start --address {address}` (--num-cpus 0 keeps trials off it)."
        )
    version = str(about.get("ray_version", ""))
    return Probe(
        address=address,
        ray_version=version,
        python_version=str(about.get("python_version", "")),
        auth_mode=os.environ["RAY_AUTH_MODE"],
    )


def _asks_for_token(error: str) -> bool:
    return "auth" in error.lower() or "token" in error.lower()


def _explained(address: str, error: str) -> str:
    if _asks_for_token(error):
        is_set = os.environ.get("RAY_AUTH_MODE") == "token"
        have = "The token here is not the cluster's" if is_set else "No token is set here"
        return (
            f"the cluster at {address} asks for a token. {have}: copy the head's ~/.ray/auth_token here, or set "
            "RAY_AUTH_TOKEN to its contents."
        )
    return f"{address} does not answer as a Ray cluster: {error.splitlines()[0] if error else 'no reason given'}"


if __name__ == "__main__":
    with contextlib.redirect_stdout(io.StringIO()):
        result = _ask(sys.argv[1])
    print(json.dumps(asdict(result)))  # noqa: T201  the answer to the parent
