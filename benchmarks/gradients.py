"""What watching gradients costs a small CNN: training steps per second with and without, in turn in one process.

The target is less than 1 %. Blocks alternate, so that whatever else the machine does meets both sides alike.
"""

import gc
import importlib
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

from orchestrator.trial.capture.gradients import GradientWatch
from orchestrator.trial.contract.reports import ReportWriter
from orchestrator.trial.formats.eventfile import EventFile

N_BLOCKS = 24
BLOCK_S = 1.0


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.2), nn.Linear(64 * 16, 64), nn.ReLU(), nn.Linear(64, 10)),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    images, labels = torch.randn(64, 1, 8, 8), torch.randint(10, (64,))

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    def steps_per_s(seconds: float) -> float:
        begun, n = time.process_time(), 0
        while time.process_time() - begun < seconds:
            step()
            n += 1
        return n / (time.process_time() - begun)

    gc.freeze()  # as in a trial's process
    steps_per_s(1.0)
    ratios = []
    with tempfile.TemporaryDirectory() as directory:
        events, reports, samples = EventFile(Path(directory)), ReportWriter(Path(directory, "reports.jsonl"), 0), []

        def log(sample: dict[str, float], n_steps: int) -> None:
            events.scalars(sample, n_steps)
            reports.write(sample, n_steps)
            samples.append(n_steps)

        watch, inside, trained = GradientWatch(log), 0.0, 0.0
        before_step = watch._before_step  # noqa: SLF001 - the time inside is what is measured

        def timed(*args: object) -> None:
            nonlocal inside
            begun = time.process_time()
            before_step(*args)
            inside += time.process_time() - begun

        watch._before_step = timed  # noqa: SLF001 - as above
        for block in range(N_BLOCKS // 2):
            order = (True, False) if block % 2 else (False, True)
            speed = {}
            for watched in order:
                handle = watch.watch(importlib.import_module("torch.optim.optimizer")) if watched else None
                begun = time.process_time()
                speed[watched] = steps_per_s(BLOCK_S)
                trained += (time.process_time() - begun) * watched
                if handle is not None:
                    handle.remove()
            ratios.append(speed[False] / speed[True])
    cost = statistics.median(ratios) - 1
    print(f"CNN: {speed[False]:.0f} steps per CPU second unwatched, {speed[True]:.0f} watched, {len(samples)} samples")
    print(f"overhead of watching gradients: {inside / trained:.2%} of the CPU time while watching (target below 1 %)")
    print(f"speed unwatched against watched: {cost:+.2%} (median of {len(ratios)} pairs; what else runs is in it)")


if __name__ == "__main__":
    main()
