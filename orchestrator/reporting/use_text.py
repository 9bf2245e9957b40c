"""What a trial uses of its machine, in a sentence and in columns."""

from orchestrator.printable import clean
from orchestrator.reporting.wording import gib, memory
from orchestrator.trial.contract.resource_use import GpuUse, Use

GIB = 2**30
COLUMNS = ("memory", "gpu", "gpu memory", "cpus")
"""The most memory (GiB, RSS), how busy its GPUs were on average (%), the most of a GPU's memory (GiB), CPU cores on average."""

UNITS = ("GiB", "%", "GiB", "")
"""Of each."""


def in_columns(use: Use) -> tuple[float | None, ...]:
    """Return it as numbers, one for each of `COLUMNS`; None for what is not known."""
    fullest, busy = use.fullest, use.own_busy
    return (
        use.rss_bytes / GIB,
        None if busy is None else 100 * busy,
        None if fullest is None else fullest.memory_bytes / GIB,
        use.cpus,
    )


def used(use: Use) -> str:
    """Return it as it came to: means over the time, the most of memory."""
    many = f" by up to {use.n_processes} processes" if use.n_processes > 1 else ""
    told = [f"{use.cpus:.2f} CPU cores, at most {memory(use.rss_bytes)} (RSS){many}"]
    return "; ".join([*told, *_gpus(use, at_most=True)])


def using(use: Use) -> str:
    """Return it as it is at a moment, in few words."""
    known = ["GPU use not known"] if use.problem and not use.gpus else _gpus(use)
    return ", ".join([f"{use.cpus:.1f} cores {memory(use.rss_bytes)}", *known])


def _gpus(use: Use, *, at_most: bool = False) -> list[str]:
    """A part of a sentence per GPU, or the one that says why nothing is known of them."""
    told = [_gpu(gpu, is_shared=use.gpu_share < 1, at_most=at_most) for gpu in use.gpus]
    return [*told, *([f"GPU use is not known: {clean(use.problem)}"] if use.problem and not told else [])]


def _gpu(gpu: GpuUse, *, is_shared: bool, at_most: bool) -> str:
    """Numbers are the trial's where that can be told; else it is said whose they are."""
    busy = gpu.busy if gpu.own_busy is None else gpu.own_busy
    told = (
        [] if busy is None else [f"busy {100 * busy:.0f} %" + (" in all" if is_shared and gpu.own_busy is None else "")]
    )
    whose = " in all" if gpu.own_bytes is None else ""
    told.append(f"{'at most ' * at_most}{gib(gpu.memory_bytes)} of {gib(gpu.total_bytes)} GiB{whose}")
    told += [] if gpu.power_w is None else [f"{gpu.power_w:.0f} W"]
    return f"GPU {clean(gpu.gpu)} {', '.join(told)}"
