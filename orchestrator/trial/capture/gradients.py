"""Gradient and weight norms of torch programs, sampled inside the trial at less than 1 % of its training time.

One hook for every optimizer of the process looks, now and then, at what is about to be applied. Names under `PREFIX`:

* ``watch/gradients/<layer>`` and ``watch/weights/<layer>``: L2 norms of a layer's weight matrices, for TensorBoard and W&B.
* `NORM`: L2 norm over all of them.
* `SPREAD`: the smallest layer's gradient norm divided by the largest one's. In a network whose gradients vanish on their way
  back it is tiny from the start; that of a converged network is not, although all its gradients are small.

Biases and the scales of normalisation layers are left out: the gradient of a bias before a normalisation is zero by
construction. So are gradients that live on several devices at once (sharded training): their norm would be a collective
operation that the other processes do not take part in.
"""

from __future__ import annotations

import gc
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

from orchestrator.trial.contract.watched import NORM, PREFIX, SPREAD

SHARE = 0.005
"""The share of the training time that sampling may take."""

FIRST_GUESS_S = 0.004
"""What the first sample is thought to cost, in a process whose heap is frozen; more where all of it is searched for names."""

FIRST_GUESS_COLD_S = 0.05

FIRST_GUESS_GPU_S = 0.03
"""The same on a GPU, which loads the kernels of a sample at the first one: 20 to 46 ms on an H200, 1 ms for each that follows."""

MIN_INTERVAL_S = 0.5
"""The shortest time between two samples; it grows with the training, so that a trial has a few hundred of them at most."""

GROWTH = 1 / 200
MAX_LAYERS = 48
"""More layers than this are put together by the beginning of their names."""

Log = Callable[[Mapping[str, float], int], None]
Quietly = Callable[..., None]


class GradientWatch:
    """Samples norms before optimizer steps.

    Args:
        log: Takes a sample: values by name, and the number of optimizer steps so far.
        quietly: Does something of ours; its failure is a warning.
        clock: Monotonic seconds.
    """

    def __init__(self, log: Log, quietly: Quietly, clock: Callable[[], float] = time.perf_counter) -> None:
        self._log = log
        self._quietly = quietly
        self._clock = clock
        self._n_steps = 0
        self._begun_s = 0.0
        self._due_s = -math.inf
        self._spent_s = 0.0
        self._names: dict[int, str] = {}

    def watch(self, module: ModuleType) -> Any:
        """Hook into `torch.optim.optimizer`; return the handle that removes the hook."""
        return module.register_optimizer_step_pre_hook(self._before_step)

    def _before_step(self, optimizer: Any, _args: Any, _kwargs: Any) -> None:
        self._n_steps += 1
        now_s = self._clock()
        if now_s < self._due_s:
            return
        if self._n_steps == 1:
            self._begun_s = now_s
            self._due_s = now_s + _first_guess_s() / SHARE
            return
        self._due_s = math.inf  # nothing below is tried again should it fail
        self._quietly(self._take, optimizer, now_s)

    def _take(self, optimizer: Any, now_s: float) -> None:
        sample = self._sample(optimizer)
        if sample:
            self._log(sample, self._n_steps)
        self._plan(now_s, self._clock() - now_s)

    def _plan(self, now_s: float, cost_s: float) -> None:
        """Set the time from which on another sample of this cost stays within the share."""
        self._spent_s += cost_s
        elapsed_s = now_s - self._begun_s
        affordable_s = self._begun_s + (self._spent_s + cost_s) / SHARE
        self._due_s = max(affordable_s, now_s + max(MIN_INTERVAL_S, GROWTH * elapsed_s))

    def _sample(self, optimizer: Any) -> dict[str, float]:
        torch = sys.modules["torch"]
        is_capturing = torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()
        if is_capturing or torch.compiler.is_compiling():
            return {}
        matrices = [p for group in optimizer.param_groups for p in group["params"] if _is_plain(p, torch)]
        if not matrices:
            return {}
        if any(id(p) not in self._names for p in matrices):
            self._names |= _parameter_names(matrices, torch)
        gradients = _norms([p.grad.detach() for p in matrices], torch)
        weights = _norms([p.detach() for p in matrices], torch)
        layers = grouped([self._names[id(p)] for p in matrices], MAX_LAYERS)
        found = {NORM: _together(gradients)}
        by_layer = {layer: _together(gradients[i] for i in members) for layer, members in layers.items()}
        largest = max(by_layer.values())
        if len(by_layer) > 1 and largest > 0 and all(map(math.isfinite, by_layer.values())):
            found[SPREAD] = min(by_layer.values()) / largest
        found |= {f"{PREFIX}gradients/{layer}": norm for layer, norm in by_layer.items()}
        return found | {f"{PREFIX}weights/{layer}": _together(weights[i] for i in m) for layer, m in layers.items()}


def grouped(names: Sequence[str], at_most: int) -> dict[str, list[int]]:
    """Return positions by layer; names are cut from the right, a part at a time, until there are few enough layers."""
    for depth in range(max(name.count(".") for name in names) + 1, 0, -1):
        layers: dict[str, list[int]] = {}
        for position, name in enumerate(names):
            layers.setdefault(".".join(name.split(".")[:depth]), []).append(position)
        if len(layers) <= at_most:
            return layers
    return {"all": list(range(len(names)))}


def _first_guess_s() -> float:
    """Return what the first sample is thought to cost here, in seconds."""
    if not gc.get_freeze_count():
        return FIRST_GUESS_COLD_S
    return FIRST_GUESS_GPU_S if sys.modules["torch"].cuda.is_initialized() else FIRST_GUESS_S


def _is_plain(parameter: Any, torch: Any) -> bool:
    gradient = parameter.grad
    return (
        gradient is not None
        and parameter.dim() > 1
        and type(gradient) is torch.Tensor
        and gradient.layout is torch.strided
        and not gradient.is_complex()
    )


def _norms(tensors: list[Any], torch: Any) -> list[float]:
    """L2 norms, with one transfer from the device."""
    norms = torch._foreach_norm(tensors)  # noqa: SLF001 - what clip_grad_norm_ does
    return [float(n) for n in torch.stack([n.to(norms[0].device, torch.float32) for n in norms]).tolist()]


def _together(norms: Iterable[float]) -> float:
    return math.sqrt(sum(norm * norm for norm in norms))


def _parameter_names(parameters: Sequence[Any], torch: Any) -> dict[int, str]:
    """Names by id, as the outermost module that has the parameter calls it, without a final ``.weight``."""
    modules = [found for found in gc.get_objects() if issubclass(type(found), torch.nn.Module)]
    inner = {id(child) for module in modules for child in module._modules.values()}  # noqa: SLF001 - no copy of each
    names = {id(p): f"parameter{position}" for position, p in enumerate(parameters)}
    for module in modules:
        if id(module) in inner:
            continue
        for name, parameter in module.named_parameters():
            if names.get(id(parameter), "").startswith("parameter"):
                names[id(parameter)] = name.removesuffix(".weight").removeprefix("_orig_mod.").removeprefix("module.")
    return names
