"""The project's own example sweeps on the GPU, as their user would run them."""

import math

from tests.gpu.bench import Swept, sweep
from tests.gpu.check import ROOT, Check

COMMAND = '["${env}", "${interpreter}", -m, torch.distributed.run, --standalone, --nproc_per_node, 1, "${program}", "${args}"]'

COMPILED = """
program: trainables/gpt_char.py
method: grid
metric: {name: valid/loss, goal: minimize}
parameters:
  lr: {values: [0.001, 0.002]}
  compile: {value: true}
  epochs: {value: 3}
  steps: {value: 20}
"""


def digits(check: Check) -> None:
    """Run the Bayesian search on the digits, four trials at a time."""
    count, epochs = (3, 2) if check.is_dry else (16, 12)
    settings = ["--count", str(count), "--set", f"parameters.epochs.value={epochs}"]
    swept = sweep(check.work, ROOT / "sweeps/digits-bayes.yaml", *settings, name="digits", gpu=0.25)
    check.found(**_came_to(swept, "valid/accuracy"), asked=count)


def gpt(check: Check) -> None:
    """Run ASHA on the small GPT with mixed precision and torch.compile; dropout is left out: each value is its own graph."""
    count, epochs, steps = (2, 2, 3) if check.is_dry else (8, 27, 30)
    fixed = {"mixed_precision": "true", "compile": "true", "epochs": epochs, "steps": steps}
    settings = [word for key, value in fixed.items() for word in ("--set", f"parameters.{key}={{value: {value}}}")]
    settings += ["--set", "parameters.dropout={value: 0.0}", "--count", str(count)]
    swept = sweep(check.work, ROOT / "sweeps/gpt-asha.yaml", *settings, name="gpt", gpu=0.25)
    check.found(**_came_to(swept, "valid/loss"), asked=count, epochs=_configured(swept, "epochs"))


def compile_cache(check: Check) -> None:
    """Run two trials that compile the same model, one after the other; the cache is empty before the first."""
    spec = check.work / "compile.yaml"
    spec.write_text(COMPILED)
    caches = {f"{name}_CACHE_DIR": check.work / name.lower() for name in ("TORCHINDUCTOR", "TRITON")}
    swept = sweep(check.work, spec, "--concurrency", "1", name="compile", gpu=0.25, **caches)
    check.found(causes=swept.causes, first_epoch_s=[_compile_s(swept, n) for n in range(len(swept.attempts))])


def _compile_s(swept: Swept, number: int) -> float | None:
    """Seconds to the end of the first epoch less those of the last: what compiling and the device's start take."""
    attempt = next(a for a in swept.attempts if a["trial"] == number)
    times, _ = swept.series(number, "valid/loss")
    return (times[0] - attempt["started"]) - (times[-1] - times[-2]) if len(times) > 1 else None


def ddp(check: Check) -> None:
    """Run torchrun with one process; NCCL on a GPU, gloo without."""
    settings = ["--set", f"command={COMMAND}", "--count", "1", "--set", "parameters.epochs.value=2"]
    swept = sweep(check.work, ROOT / "sweeps/ddp.yaml", *settings, name="ddp", gpu=1)
    logs = "".join(path.read_text(errors="replace") for path in swept.dir.rglob("output.log"))
    backend = "nccl" if "over nccl" in logs else "gloo" if "over gloo" in logs else None
    check.found(**_came_to(swept, "valid/accuracy"), asked=1, backend=backend, log=logs[-300:])


def _came_to(swept: Swept, metric: str) -> dict:
    values = swept.values(metric)
    return {
        "causes": sorted(swept.causes),
        "exit_code": swept.exit_code,
        "warm": sum(attempt["cold_reason"] is None for attempt in swept.attempts),
        "cold_reasons": sorted({a["cold_reason"] for a in swept.attempts if a["cold_reason"]}),
        "values": [value if math.isfinite(value) else None for value in values],
        "seconds": swept.seconds,
        "errors": sorted({a["error"] for a in swept.attempts if a["error"]})[:3],
    }


def _configured(swept: Swept, name: str) -> list[str]:
    lines = [line for path in swept.dir.glob("*/*/config.yaml") for line in path.read_text().splitlines()]
    return sorted({line.strip() for line in lines if line.strip().startswith(name)})
