"""Nodes as a table with what is unfit below it, and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.cli.paint import Paint
from orchestrator.cli.terminal import fitted
from orchestrator.execution.fitness import Examined, Finding, Wanted, minor, size
from orchestrator.execution.shares import Claim
from orchestrator.printable import clean
from orchestrator.watch.text import folded, table

HEADER = (
    "node",
    "fit?",
    "versions",
    "CPUs",
    "GPUs",
    "free GPU memory",
    "free disk",
    "in tmp",
    "shared memory",
    "clock",
    "runs",
    "link",
)


def lines(judged: Sequence[tuple[Examined, Sequence[Finding]]], wanted: Wanted, paint: Paint) -> list[str]:
    """Return what is said of nodes: the versions there should be, a row each, then each finding with how to mend it."""
    rows = [_cells(node, found, wanted) for node, found in judged]
    kept = [i for i in range(len(HEADER)) if any(row[i] != "-" for row in rows)]
    head, *body = fitted(table([HEADER[i] for i in kept], [[row[i] for i in kept] for row in rows])).split("\n")
    here = f"this machine: Python {wanted.python}, Ray {wanted.ray}"
    shown = [here, paint("title", head)]
    for line, row, (_, found) in zip(body, rows, judged, strict=True):
        host, verdict = line[: len(row[0])], line[len(row[0]) :]
        shown.append(host + verdict.replace(row[1], paint(_role(found), row[1]), 1))
    for node, found in judged:
        for finding in found:
            shown += _finding(node, finding, paint)
    return [*shown, _sum(judged)]


def sweeps(claims: Mapping[str, Claim]) -> list[str]:
    """Return what each sweep of a cluster has of it, and how much more it waits for, a line each."""
    return [clean(f"sweep {name} on {claim.host}: {claim}") for name, claim in sorted(claims.items())]


def data(judged: Sequence[tuple[Examined, Sequence[Finding]]]) -> list[dict[str, Any]]:
    """Return the same as plain data."""
    return [
        {
            "node": _host(node),
            "node_id": node.node_id or None,
            "fit": not any(finding.unfit for finding in found),
            "findings": [
                {"severity": _severity(finding), "what": finding.what, "mend": finding.mend} for finding in found
            ],
            "cpus": node.cpus,
            "gpus_of_ray": node.gpus,
            "sees_runs_dir": (node.answer or {}).get("seen"),
            "link": None if node.link is None else asdict(node.link),
            **{name: value for name, value in (node.answer or {}).items() if name not in {"host", "seen"}},
        }
        for node, found in judged
    ]


def _host(node: Examined) -> str:
    return str((node.answer or {}).get("host") or node.host)


def _verdict(found: Sequence[Finding]) -> str:
    if any(finding.unfit for finding in found):
        return "unfit"
    return "fit, but" if found else "fit"


def _role(found: Sequence[Finding]) -> str:
    if any(finding.unfit for finding in found):
        return "error"
    return "warning" if found else "ok"


def _severity(finding: Finding) -> str:
    return "error" if finding.unfit else "warning"


def _finding(node: Examined, finding: Finding, paint: Paint) -> list[str]:
    kind = _severity(finding)
    first, *more = folded(clean(f"{kind}: {_host(node)}: {finding.what}"), indent=0, hanging=2)
    return [paint(kind, first[: len(kind)]) + first[len(kind) :], *more, *_mend(clean(finding.mend), paint)]


def _mend(text: str, paint: Paint) -> list[str]:
    first, *more = folded(f"mend: {text}", indent=2, hanging=8)
    return [f"  {paint('fix', 'mend')}{first[6:]}", *more]


def _sum(judged: Sequence[tuple[Examined, Sequence[Finding]]]) -> str:
    n_fit = sum(not any(finding.unfit for finding in found) for _, found in judged)
    if len(judged) == 1:
        return "this node is fit for trials" if n_fit else "this node is unfit for trials"
    return f"{n_fit} of {len(judged)} nodes are fit for trials"


def _cells(node: Examined, found: Sequence[Finding], wanted: Wanted) -> list[str]:
    answer = node.answer
    if answer is None:
        return [clean(_host(node)), _verdict(found), *["-"] * (len(HEADER) - 2)]
    link = node.link
    return [
        clean(_host(node)),
        _verdict(found),
        _versions(answer, wanted),
        "-" if node.cpus is None else f"{node.cpus:g}",
        clean(_gpus(answer, node.gpus)),
        _gpu_memory(answer),
        _free(answer, "cwd"),
        _free(answer, "tmp"),
        _shm(answer),
        "-" if link is None else _ahead(link.ahead_s, link.round_trip_s),
        {None: "-", True: "shared", False: "sent"}[answer.get("seen")],
        "-" if link is None else _link(link.round_trip_s, link.bytes_per_s),
    ]


def _versions(answer: Mapping[str, Any], wanted: Wanted) -> str:
    there = {"Python": minor(answer.get("python")), "Ray": answer.get("ray")}
    here = {"Python": minor(wanted.python), "Ray": wanted.ray}
    differ = [f"{name} {there[name] or 'none'}" for name in here if there[name] != here[name]]
    return clean(", ".join(differ)) or "the same"


def _gpus(answer: Mapping[str, Any], offered: float | None) -> str:
    gpus = answer.get("gpus") or []
    count = f"{offered:g} of " if offered is not None and gpus and offered != len(gpus) else ""
    if not gpus:
        return "none" if not offered else f"{offered:g}, no NVML"
    names = {gpu["name"].removeprefix("NVIDIA ") for gpu in gpus}
    driver = f" (driver {answer['driver']})" if answer.get("driver") else ""
    return f"{count}{len(gpus)} x {' / '.join(sorted(names))}{driver}"


def _gpu_memory(answer: Mapping[str, Any]) -> str:
    gpus = answer.get("gpus") or []
    if not gpus:
        return "-"
    least = min(gpus, key=lambda gpu: gpu["free"])
    return f"{'' if len(gpus) == 1 else 'at least '}{size(least['free'])} of {size(least['total'])}"


def _free(answer: Mapping[str, Any], what: str) -> str:
    disk = answer.get("disks", {}).get(what)
    return "-" if disk is None else size(disk["free"])


def _shm(answer: Mapping[str, Any]) -> str:
    disk = answer.get("disks", {}).get("shm")
    return "none" if disk is None else size(disk["total"])


def _ahead(ahead_s: float, round_trip_s: float) -> str:
    """By how much a clock is ahead, as far as the round trip lets one know."""
    return "right" if abs(ahead_s) < max(0.1, round_trip_s) else f"{ahead_s:+.1f}s"


def _link(round_trip_s: float, bytes_per_s: float | None) -> str:
    there = f"{round_trip_s * 1e3:.1f} ms"
    return there if bytes_per_s is None else f"{there}, {bytes_per_s / 1e6:.0f} MB/s"
