"""A kernel that does wrong: Triton builds it, no CUDA compiler is needed."""

import torch
import triton
import triton.language as tl


@triton.jit
def _write(pointer, offset, n: tl.constexpr):
    tl.store(pointer + offset + tl.arange(0, n), 1.0)


def write_far_away() -> None:
    """Write a terabyte behind a tensor."""
    _write[(1,)](torch.zeros(64, device="cuda"), 1 << 38, n=64)
