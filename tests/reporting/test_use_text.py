"""What is said of GPUs says whose numbers they are."""

from dataclasses import replace

import pytest

from orchestrator.reporting.use_text import used
from orchestrator.trial.contract.resource_use import GpuUse, Use

GPU = GpuUse(
    gpu="0", busy=0.4, own_busy=0.4, used_bytes=30 << 30, own_bytes=12 << 30, total_bytes=80 << 30, power_w=200.4
)
USE = Use(n_looks=9, seconds=90.0, cpus=1.984, rss_bytes=1.25 * 2**30, n_processes=1)
CPU = "1.98 CPU cores, at most 1.25 GiB (RSS)"


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (USE, CPU),
        (replace(USE, n_processes=3), f"{CPU} by up to 3 processes"),
        (replace(USE, gpus=(GPU,)), f"{CPU}; GPU 0 busy 40 %, at most 12 of 80 GiB, 200 W"),
        (
            replace(USE, gpus=(replace(GPU, own_busy=None, own_bytes=None),), gpu_share=0.5),
            f"{CPU}; GPU 0 busy 40 % in all, at most 30 of 80 GiB in all, 200 W",
        ),
        (
            replace(USE, gpus=(replace(GPU, own_busy=0.1), replace(GPU, gpu="1")), gpu_share=0.5),
            f"{CPU}; GPU 0 busy 10 %, at most 12 of 80 GiB, 200 W; GPU 1 busy 40 %, at most 12 of 80 GiB, 200 W",
        ),
        (
            replace(USE, gpus=(replace(GPU, busy=None, own_busy=None, power_w=None),)),
            f"{CPU}; GPU 0 at most 12 of 80 GiB",
        ),
        (replace(USE, problem="no\x1b NVML"), f"{CPU}; GPU use is not known: no? NVML"),
    ],
    ids=["CPU", "processes", "GPU", "shared", "own of two", "a slice", "no NVML"],
)
def test_what_a_trial_used(use, said):
    """One sentence, whatever could be read."""
    assert used(use) == said
