"""Whether sweeps of one machine keep out of each other's GPU, and out of other programs'."""

import os
import subprocess
import sys
from contextlib import contextmanager
from itertools import pairwise

from tests.gpu.bench import GPU, NO_CLUSTER, SWEEP, attempts_in, sweep_command
from tests.gpu.check import PATIENCE, PROGRAMS, ROOT, Check

SPEC = """
program: {program}
method: grid
metric: {{name: total, goal: maximize}}
parameters: {{a: {{values: [0, 1, 2]}}}}
orchestrator: {{wandb: "off"}}
"""
LIMIT_S = 50 * PATIENCE


def turns(check: Check) -> None:
    """Run two sweeps at once whose trials want the whole GPU; then one beside a program that holds memory of it."""
    spec = check.work / "turns.yaml"
    spec.write_text(SPEC.format(program=PROGRAMS / "turn.py"))
    os.environ["SWEEP_LOCK_DIR"] = str(check.work)
    both = [sweep_command(check.work, spec, *GPU, name=f"turns{n}", gpu=1) for n in range(2)]
    processes = [_start(command) for command in both]
    outputs = [process.communicate(timeout=LIMIT_S)[0] for process in processes]
    attempts = [a for path in sorted(check.work.glob("runs/*/ledger.sqlite")) for a in attempts_in(path)]
    lines = [line.split() for line in (check.work / "turns.log").read_text().splitlines()]
    check.found(
        exit_codes=[process.returncode for process in processes],
        causes=sorted(str(a["cause"]) for a in attempts),
        **order([(float(began), float(ended), sweep) for sweep, began, ended in lines]),
        said=[output[-300:] for output, process in zip(outputs, processes, strict=True) if process.returncode],
    )
    if not check.is_dry:
        check.found(**_beside_another_program(check, str(spec)))


def order(times: list[tuple[float, float, str]]) -> dict:
    """Return how many trials overlapped, how often the GPU went to the other sweep, and the median time between two."""
    times = sorted(times)
    gaps = sorted(b[0] - a[1] for a, b in pairwise(times))
    return {
        "n_trials": len(times),
        "overlaps": sum(gap < 0 for gap in gaps),
        "changes": sum(a[2] != b[2] for a, b in pairwise(times)),
        "between_s": gaps[len(gaps) // 2] if gaps else None,
    }


def _beside_another_program(check: Check, spec: str) -> dict:
    """What `sweep run` says of a GPU of which another program holds 16 GiB, and with --gpus all the same."""
    with _held() as pid:
        plain = _start(sweep_command(check.work, spec, name="held", gpu=1))
        refusal = plain.communicate(timeout=LIMIT_S)[0]
        named = _start(sweep_command(check.work, spec, *GPU, name="named", gpu=1))
        said = named.communicate(timeout=LIMIT_S)[0]
        nodes = subprocess.run([SWEEP, "nodes"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    return {
        "refused_with": plain.returncode,
        "wanted_code": NO_CLUSTER,
        "refusal": refusal[-600:],
        "holder_named": f"{pid}" in refusal,
        "named_exit_code": named.returncode,
        "named_said": next((line for line in said.splitlines() if "is used" in line), None),
        "nodes": (nodes.stdout + nodes.stderr)[-1500:],
    }


@contextmanager
def _held():
    """A program that is none of a sweep's and holds memory of the GPU, while entered; its process."""
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "0"}
    command = [sys.executable, str(PROGRAMS / "keep.py")]
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
