"""The line of shell that finds `sweep` on a head and hands it a request. Pure.

Ray's job server and sshd both run a line of shell; what is asked for is one quoted word of it.
"""

import posixpath
import shlex
from dataclasses import replace

from orchestrator.errors import SweepError
from orchestrator.remote.address import Address
from orchestrator.remote.request import Request

NOT_FOUND = 127
"""What the line exits with where there is no `sweep`."""

MISSING = "sweep-is-not-here"
"""What it says then, before what was looked for."""

RAYS_OWN = (
    'r=$(sed -n "s/^PPid:.//p" /proc/$PPID/status); '
    'p=$(tr "\\0" "\\n" </proc/$r/cmdline | sed -n "s/^--python_worker_command=\\([^ ]*\\) .*/\\1/p"); '
    'p=$(dirname "${p:-.}")/sweep'
)
"""Sets `p` to the command beside the Python that Ray's workers run in: a job's parent was started by the raylet."""


def of_job(place: str | None, request: Request, *, package_has_stdin: bool) -> str:
    """Return the entrypoint of a job: `sweep` of the environment at `place`, else of Ray's own, else on PATH.

    Args:
        place: The environment's folder, or something in its `bin`.
        request: What to do.
        package_has_stdin: Whether standard input is the file `stdin` of the job's working directory.
    """
    find = _first(*_candidates(place)) if place is not None else RAYS_OWN + "; " + _first('"$p"', "sweep")
    stdin = "stdin" if package_has_stdin else "/dev/null"
    return f"{find}; {_become(request)} <{stdin}"


def of_ssh(place: str | None, request: Request) -> str:
    """Return what sshd runs: `sweep` of the environment at `place`, else on PATH, else where pip and uv put it."""
    usual = ("sweep", '"$HOME/.local/bin/sweep"') if place is None else _candidates(place)
    return f"exec sh -c {shlex.quote(f'{_first(*usual)}; {_become(request)}')}"


def not_there(address: Address, said: list[str]) -> SweepError:
    """Return the error for a head that has no `sweep`; `said` are lines that it printed."""
    looked = next((f" (looked for {line.partition(': ')[2]})" for line in said if MISSING in line), "")
    env = "ENVIRONMENT" if address.place is None else address.place
    return SweepError(
        f"`sweep` is not installed on the head, as far as can be seen there{looked}.\n"
        "  Install this package there, of the same release as here (jobs look beside Ray's own Python first); or name the "
        f"environment that has it behind the address: {replace(address, place=None)}"
        f"/{env.lstrip('/')}"
    )


def _first(*candidates: str) -> str:
    """Shell that sets `s` to the first of some commands that there is, or says what was looked for and exits."""
    names = " ".join(candidates)
    return (
        f'for s in {names}; do command -v "$s" >/dev/null 2>&1 && break; s=; done; '
        f'[ -n "$s" ] || {{ echo {MISSING}: {names} >&2; exit {NOT_FOUND}; }}'
    )


def _candidates(place: str) -> tuple[str, ...]:
    """Commands that an environment's folder, its Python or its `sweep` may stand for."""
    beside = posixpath.join(posixpath.dirname(place), "sweep")
    return tuple(shlex.quote(path) for path in dict.fromkeys((posixpath.join(place, "bin/sweep"), beside)))


def _become(request: Request) -> str:
    return f'exec "$s" _head {shlex.quote(request.encode())}'
