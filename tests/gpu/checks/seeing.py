"""What the GPU is, what trials see of it, and that warm servers leave it alone."""

import json
import os
import platform
import subprocess
from importlib import metadata

from packaging.requirements import Requirement

from tests.gpu.bench import sweep
from tests.gpu.check import PROGRAMS, Check

SHOWN = ("torch", "triton", "numpy", "ray", "wandb", "optuna", "tensorboard", "protobuf", "nvidia-ml-py")

SPEC = """
program: {program}
method: grid
metric: {{name: total, goal: maximize}}
parameters: {{a: {{values: [0, 1, 2, 3, 4, 5, 6, 7]}}}}
orchestrator: {{wandb: "off"}}
"""


def machine(check: Check) -> None:
    """Say what this is measured on, and which of our requirements its packages do not meet."""
    import torch

    check.found(
        python=platform.python_version(),
        kernel=platform.release(),
        cpus=len(os.sched_getaffinity(0)),
        versions={name: _version(name) for name in SHOWN},
        unmet=unmet("sweep-orchestrator"),
        nvidia_smi=_nvidia_smi(),
    )
    n_gpus = torch.cuda.device_count() if not check.is_dry else 1
    card = torch.cuda.get_device_name(0) if not check.is_dry else "none: a dry run on the CPU"
    check.found(n_gpus=n_gpus, card=card, cuda=torch.version.cuda)


def unmet(root: str) -> list[str]:
    """Return the requirements, of a distribution and of all it needs, that what is installed does not meet."""
    seen, waiting, found = {root}, [(root, Requirement(root))], []
    while waiting:
        owner, requirement = waiting.pop()
        version = _version(requirement.name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{requirement.name}{requirement.specifier} for {owner} (here: {version or 'not installed'})")
        if version is None:
            continue
        needed = [
            r for r in map(Requirement, metadata.requires(requirement.name) or []) if _applies(r, requirement.extras)
        ]
        waiting += [(requirement.name, r) for r in needed if str(r) not in seen]
        seen |= {str(r) for r in needed}
    return sorted(found)


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _nvidia_smi() -> str:
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=False, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nvidia-smi: {error}"


def share(check: Check) -> None:
    """Run eight trials, four at once, on one GPU; each says what it sees."""
    spec = check.work / "share.yaml"
    spec.write_text(SPEC.format(program=PROGRAMS / "look.py"))
    swept = sweep(check.work, spec, "--concurrency", "4", name="share", gpu=0.25)
    seen = [json.loads(path.read_text()) for path in sorted(swept.dir.rglob("look.json"))]
    check.found(
        causes=swept.causes,
        cold_reasons=sorted({a["cold_reason"] for a in swept.attempts if a["cold_reason"]}),
        given=sorted({" ".join(json.loads(a["gpu_ids"])) for a in swept.attempts}),
        visible=sorted({str(s["visible"]) for s in seen}),
        n_gpus=sorted({s["n_gpus"] for s in seen}),
        uuids=sorted({s["uuid"] for s in seen}),
        n_trials=len(seen),
        inherited_cuda=sum(s["inherited_cuda"] for s in seen),
        servers_with_cuda=sum(s["server_has_cuda"] for s in seen),
        trials_with_cuda=sum(s["own_has_cuda"] for s in seen),
        at_once=at_once([(a["started"], a["ended"]) for a in swept.attempts]),
    )


def at_once(intervals: list[tuple[float, float]]) -> int:
    """Return how many of these intervals overlap at some moment."""
    return max((sum(a <= start < b for a, b in intervals) for start, _ in intervals), default=0)
