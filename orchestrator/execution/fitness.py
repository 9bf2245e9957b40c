"""Whether a node is fit for trials: what it says of itself, held against what they need, with how to mend it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.execution.placement import describe
from orchestrator.interpreters.agreement import others
from orchestrator.interpreters.probe import DECIDING, report_source

GB = 1 << 30

LEAST_DISK_BYTES, SMALL_DISK_BYTES = 1 * GB, 10 * GB
"""Free space below which trials cannot keep what they write, and below which that has to be feared."""

FULL = 0.95
"""Share of its disk from which on Ray takes no more objects."""

SMALL_SHM_BYTES = 1 * GB
"""Shared memory below this is what containers have that were given none (64 MB)."""

SKEW_S, LARGE_SKEW_S = 2.0, 60.0
"""How far a clock may be off, and from when on certificates and leases of others suffer."""

HELD = 0.05
"""Share of a GPU's memory from which on a foreign process is named."""

LEAST_GPU = 0.5
"""Share of a GPU's memory that must be free of foreign processes."""

SLOW_BYTES_PER_S = 10e6
SLOW_ROUND_TRIP_S = 0.5
"""A link from which on files, and reports, come late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about a node.

    Attributes:
        unfit: Whether trials cannot run there for that; else it is to be feared.
        what: What is wrong, a clause.
        mend: What to do about it.
    """

    unfit: bool
    what: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """How a node is reached: seconds there and back, bytes per second from there to here, seconds that its clock is ahead."""

    round_trip_s: float
    bytes_per_s: float | None
    ahead_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A node that was asked.

    Attributes:
        node_id: Ray's name for it; empty for this machine without Ray.
        host: Its name, as Ray has it until it says so itself.
        cpus: CPUs that Ray gives out there; None without Ray.
        gpus: GPUs that it gives out.
        answer: As `node_report.Examiner.report`; None where it gave none.
        hangs_at: What it was looking at when the time was over; None when it answered.
        link: How it is reached; None for this machine.
    """

    node_id: str = ""
    host: str
    cpus: float | None = None
    gpus: float | None = None
    answer: Mapping[str, Any] | None = None
    hangs_at: str | None = None
    link: Link | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What every node is held against: what this machine has and the trials need.

    Attributes:
        cwd: Where trials run.
        runs_proof: A file in the runs directory, and what it says; None where there is no such file.
        files: What has to be there unless the project goes along.
        pinned: Whether it does.
        libraries: What must be found by an interpreter, by its path.
        pythons: What each interpreter is here, as `agreement.expected` says it.
    """

    python: str
    ray: str
    cwd: str
    runs_proof: tuple[str, str] | None = None
    files: tuple[str, ...] = ()
    pinned: bool = False
    libraries: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pythons: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def questions(self, environ: Mapping[str, str]) -> dict[str, Any]:
        """Return what a node is asked, as plain data, by whoever has this environment."""
        return {
            "cwd": self.cwd,
            "proof": self.runs_proof and list(self.runs_proof),
            "files": [] if self.pinned else list(self.files),
            "pythons": {
                path: {"libraries": list(names), "own": self.pythons[path]["own"]}
                for path, names in self.libraries.items()
            },
            "self_report": report_source(),
            "environ": {name: environ[name] for name in DECIDING if name in environ},
        }


def findings(node: Examined, wanted: Wanted) -> list[Finding]:
    """Return what is wrong with a node, the worst first."""
    if node.answer is None:
        found = [
            Finding(
                unfit=True,
                what=f"does not answer: it hangs at {node.hangs_at}",
                mend="look there with `ray status` and `df`; a hanging disk or driver needs an administrator, or a reboot",
            )
        ]
    else:
        answer = node.answer
        found = [
            *_of_versions(answer, wanted),
            *_of_pythons(answer, wanted),
            *_of_files(answer),
            *_of_disks(answer),
            *_of_gpus(answer, node.gpus),
            *_of_link(node.link, sees_runs=answer.get("seen")),
            *(_unknown(what, why) for what, why in answer["problems"].items()),
        ]
    return sorted(found, key=lambda finding: not finding.unfit)


def refusals(node: Examined, wanted: Wanted) -> list[Finding]:
    """Return why no trial should be tried on a node at all: of what makes it unfit that which no other GPU or retry mends."""
    answer = node.answer or {}
    found = (*_of_pythons(answer, wanted), *_of_files(answer), *_of_disks(answer))
    return [finding for finding in found if finding.unfit]


def _unknown(what: str, why: str) -> Finding:
    return Finding(unfit=False, what=f"{what} could not be looked at: {why}", mend="look at it there by hand")


def _of_versions(answer: Mapping[str, Any], wanted: Wanted) -> Iterator[Finding]:
    where = answer.get("executable", "its environment")
    if minor(answer.get("python")) != minor(wanted.python):
        yield Finding(
            unfit=True,
            what=f"has Python {answer.get('python')}; this machine has {wanted.python}",
            mend=f"start Ray there from a Python {minor(wanted.python)}, or run `sweep` from one like there",
        )
    if answer.get("ray") != wanted.ray:
        yield Finding(
            unfit=True,
            what=f"has Ray {answer.get('ray')}; this machine has {wanted.ray}",
            mend=f"{where} -m pip install ray=={wanted.ray}, and start Ray there again",
        )


def minor(version: str | None) -> str:
    """Return the first two numbers of a version, in which Pythons must be the same."""
    return ".".join((version or "none").split(".")[:2])


def _of_pythons(answer: Mapping[str, Any], wanted: Wanted) -> Iterator[Finding]:
    for path, there in answer.get("pythons", {}).items():
        here = wanted.pythons[path]
        if "problem" in there:
            yield Finding(
                unfit=True,
                what=f"trials cannot run in {path}: it {there['problem']}",
                mend="make that environment there at the same path, or name another with --python",
            )
            continue
        named, version = there["executable"], ".".join(map(str, there["version"]))
        if minor(version) != minor(here["version"]):
            yield Finding(
                unfit=True,
                what=f"{named} is Python {version} there, {here['version']} here",
                mend="they must be the same: make the environment there anew",
            )
        if there["lacks"]:
            yield Finding(
                unfit=True,
                what=f"{named} does not find what the program imports: {', '.join(there['lacks'])}",
                mend=f"install it there ({named} -m pip install ...), or name another environment with --python",
            )
        elif differ := others(there["packages"], here["packages"]):
            yield Finding(
                unfit=False,
                what=f"{named} has other packages: {', '.join(differ)}",
                mend="install the same on both, or results of two programs are mixed",
            )


def _of_files(answer: Mapping[str, Any]) -> Iterator[Finding]:
    absent = answer.get("absent", [])
    if absent:
        yield Finding(
            unfit=True,
            what=f"the program is not there: {', '.join(absent)}",
            mend="`sweep run --pin` takes the project along; or copy it there, or mount it at the same path",
        )


def _of_disks(answer: Mapping[str, Any]) -> Iterator[Finding]:
    disks = answer.get("disks", {})
    keeps = disks.get("runs" if answer.get("seen") else "own")
    if keeps is not None:
        yield from _of_room(keeps, "where its trials are kept")
    ray = disks.get("tmp")
    if ray is not None and (keeps is None or ray["path"] != keeps["path"]):
        yield from _of_room(ray, "where Ray keeps its files")
    used = 0 if ray is None or not ray["total"] else 1 - ray["free"] / ray["total"]
    if used > FULL:
        yield Finding(
            unfit=False,
            what=f"the disk of /tmp is {used:.0%} full: from {FULL:.0%} on Ray takes no objects",
            mend="make room there, or start Ray with --temp-dir on another disk",
        )
    shared = disks.get("shm", {"total": 0})["total"] if disks else SMALL_SHM_BYTES
    if shared < SMALL_SHM_BYTES:
        yield Finding(
            unfit=False,
            what=f"its shared memory is {size(shared)}: data loaders with workers end with a bus error when it is full",
            mend="docker run --shm-size=8g; on Kubernetes an emptyDir with medium: Memory at /dev/shm",
        )


def _of_room(disk: Mapping[str, Any], what: str) -> Iterator[Finding]:
    where = f"({disk['path']}, {what})"
    if disk["free"] < LEAST_DISK_BYTES or disk["files_free"] == 0:
        short = "no room for one more file (inodes)" if disk["files_free"] == 0 else f"{size(disk['free'])} free"
        yield Finding(
            unfit=True, what=f"disk full: {short} {where}", mend="make room there; SWEEP_NODE_DIR names another disk"
        )
    elif disk["free"] < SMALL_DISK_BYTES:
        yield Finding(
            unfit=False, what=f"little disk: {size(disk['free'])} free {where}", mend="make room before it is full"
        )


def _of_gpus(answer: Mapping[str, Any], offered: float | None) -> Iterator[Finding]:
    gpus = answer.get("gpus")
    if gpus is None:
        return
    if answer["gpu_problem"]:
        yield Finding(
            unfit=bool(offered),
            what=f"its GPUs cannot be used: {answer['gpu_problem']}",
            mend="after an update of the driver reboot the machine; in a container start it with --gpus all",
        )
        return
    if answer["gpu_source"] is None and offered:
        yield Finding(
            unfit=False,
            what=f"Ray gives out {describe({'GPU': offered})}, and there is no NVML and no nvidia-smi to look at them",
            mend="see what `nvidia-smi` says there; without GPUs start Ray with --num-gpus 0",
        )
        return
    if offered and offered > len(gpus):
        yield Finding(
            unfit=True,
            what=f"Ray gives out {describe({'GPU': offered})}, the driver has {len(gpus)}",
            mend=f"one may have fallen off the bus (`dmesg`); else start Ray there with --num-gpus {len(gpus)}",
        )
    for gpu in gpus:
        yield from _of_gpu(gpu)


def _of_gpu(gpu: Mapping[str, Any]) -> Iterator[Finding]:
    """Say who holds a GPU. Trials of sweeps do not count: they end, and take turns."""
    foreign = [holder for holder in gpu["holders"] if not holder["sweep"]]
    used = gpu["used"]
    known = sum(holder["bytes"] or 0 for holder in gpu["holders"])
    by_foreign = (
        used if not gpu["holders"] else sum(h["bytes"] or 0 for h in foreign) + max(0, used - known) * bool(foreign)
    )
    if not gpu["total"] or by_foreign < HELD * gpu["total"]:
        return
    who = "; ".join(named_holder(holder) for holder in foreign) or "by no process that can be seen from there"
    yield Finding(
        unfit=gpu["total"] - by_foreign < LEAST_GPU * gpu["total"],
        what=f"GPU {gpu['index']}: {size(by_foreign)} of {size(gpu['total'])} are held {who}",
        mend="end that process, or start Ray there without this GPU (CUDA_VISIBLE_DEVICES)",
    )


def named_holder(holder: Mapping[str, Any]) -> str:
    """Return who holds a GPU, as the end of a clause."""
    about = ": ".join(part for part in (holder["user"], holder["command"]) if part)
    return f"by pid {holder['pid']} ({about})" if about else f"by pid {holder['pid']} (of another container, or gone)"


def _of_link(link: Link | None, *, sees_runs: bool | None) -> Iterator[Finding]:
    if link is None:
        return
    off_s = abs(link.ahead_s) - link.round_trip_s / 2
    if off_s > SKEW_S:
        yield Finding(
            unfit=off_s > LARGE_SKEW_S,
            what=f"its clock is {abs(link.ahead_s):.0f} s {'ahead' if link.ahead_s > 0 else 'behind'}",
            mend="let chrony or systemd-timesyncd set it (`timedatectl set-ntp true`)",
        )
    if link.round_trip_s > SLOW_ROUND_TRIP_S:
        yield Finding(unfit=False, what=f"{link.round_trip_s:.1f} s there and back", mend="look at the network between")
    if link.bytes_per_s is not None and link.bytes_per_s < SLOW_BYTES_PER_S and sees_runs is False:
        yield Finding(
            unfit=False,
            what=f"its files come at {link.bytes_per_s / 1e6:.1f} MB/s: large checkpoints are long on their way",
            mend="look at the network between, or let it see the runs directory on a shared disk",
        )


def size(n_bytes: float) -> str:
    """Return an amount for people: ``640 MB``, ``8.0 GB``, ``210 GB``, ``3.5 TB``; powers of 1024."""
    if n_bytes < GB:
        return f"{n_bytes / (1 << 20):.0f} MB"
    if n_bytes >= 1000 * GB:
        return f"{n_bytes / (1 << 40):.1f} TB"
    return f"{n_bytes / GB:.1f} GB" if n_bytes < 10 * GB else f"{n_bytes / GB:.0f} GB"
