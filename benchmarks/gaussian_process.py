"""What a fit of the Gaussian process and its beliefs cost, beside Optuna's, which computes the same with torch: CPU ms.

python benchmarks/gaussian_process.py
"""

import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch
from optuna._gp import gp

from orchestrator.search.kernel import CENTRE_LOG_NOISE, MIN_NOISE, SPREAD_DOWN, SPREAD_UP, fit
from orchestrator.search.regression import Model

SIZES = ((50, 6), (150, 6), (400, 6), (150, 12))
N_POINTS = 1024
REPEATS = 5


def data(n, d):
    rng = np.random.default_rng([n, d])
    x = rng.random((n, d))
    y = np.sin(5 * x[:, 0]) + 2 * (x[:, 1] - 0.3) ** 2 + 0.5 * x[:, 2] * x[:, 0] + 0.1 * rng.standard_normal(n)
    return x, (y - y.mean()) / y.std()


def log_prior(model):
    """Ours, in torch."""
    lengths = -0.5 * model.inverse_squared_lengthscales.log()
    off = model.noise_var.log() - CENTRE_LOG_NOISE
    spread = off.clamp(min=0) / SPREAD_UP + off.clamp(max=0) / SPREAD_DOWN
    centre = np.sqrt(2) + 0.5 * np.log(len(lengths))
    scale = model.kernel_scale
    return (-((lengths - centre) ** 2) / 6 - lengths).sum() + scale.log() - scale - spread**2 / 2


def cpu_ms(function) -> float:
    """Return the least of several runs' CPU time."""
    took = []
    for _ in range(REPEATS):
        began_s = time.process_time()
        function()
        took.append(time.process_time() - began_s)
    return 1000 * min(took)


def main() -> None:
    torch.set_num_threads(1)
    for n, d in SIZES:
        x, y = data(n, d)
        numbers = np.zeros(d, dtype=bool)
        points = np.random.default_rng(0).random((N_POINTS, d))

        def theirs(x=x, y=y, numbers=numbers):
            return gp.fit_kernel_params(x, y, numbers, log_prior, MIN_NOISE, deterministic_objective=False)

        model, other = Model(x, y, fit(x, y, numbers)), theirs()
        pairs = {
            "fit": (lambda x=x, y=y, numbers=numbers: fit(x, y, numbers), theirs),
            f"{N_POINTS} posteriors": (
                lambda model=model, points=points: model.posterior(points),
                lambda other=other, points=points: other.posterior(torch.from_numpy(points)),
            ),
        }
        for name, (ours, rival) in pairs.items():
            own, its = cpu_ms(ours), cpu_ms(rival)
            print(f"n={n:3} d={d:2}  {name:15} {own:6.1f}, Optuna {its:6.1f}: {its / own:.1f} times", flush=True)


if __name__ == "__main__":
    main()
