"""How good is the search? Best loss after 25, 50 and 100 trials, and seconds per suggestion.

python benchmarks/search.py quality --seeds 10 --parallel 1 8
python benchmarks/search.py speed
python benchmarks/search.py stopping
"""

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from scipy.stats import rankdata, wilcoxon
from search_engines import ENGINES, ours, parameters_of
from search_tasks import MLP_EPOCHS, Task, exact, floats, mlp_table, tasks

from orchestrator.search.protocol import Observation, Outcome, Pending
from orchestrator.spec.model import EarlyTerminate, Method, Metric, SweepSpec
from orchestrator.stopping.factory import make_rule
from orchestrator.stopping.protocol import Curve

BUDGETS = (25, 50, 100)
CACHE = Path(tempfile.gettempdir()) / "sweep-benchmark-digits-mlp.npy"


def run(task: Task, engine: str, seed: int, parallel: int, n_trials: int) -> list[float]:
    """Return the true loss of the config that looked best after each budget; trials end in random order."""
    search = ENGINES[engine](task, seed)
    rng = np.random.default_rng([seed, 99])
    observations, pending, number = [], [], 0
    while len(observations) < n_trials:
        while len(pending) < parallel:
            pending.append(Pending(number=number, config=search.suggest(number, observations, pending)))
            number += 1
        trial = pending.pop(int(rng.integers(len(pending))))
        score = float(task.loss(trial.config, rng))
        observations.append(
            Observation(
                number=trial.number,
                config=trial.config,
                outcome=Outcome.FINISHED,
                scores=(score,),
                order=len(observations),
            )
        )
    looked = [min(observations[:n], key=lambda o: o.scores) for n in BUDGETS if n <= n_trials]
    return [task.true_loss(o.config) for o in looked]


def job(given):
    name, engine, seed, parallel, n_trials = given
    [task] = [task for task in tasks(CACHE) if task.name == name]
    return run(task, engine, seed, parallel, n_trials)


def quality(args) -> None:
    names = args.tasks or [task.name for task in tasks(CACHE)]
    jobs = list(product(names, args.engines, range(args.seeds), args.parallel, [args.trials]))
    with ProcessPoolExecutor(args.processes) as pool:
        results = dict(zip(jobs, pool.map(job, jobs), strict=True))
    if args.json:
        Path(args.json).write_text(json.dumps([[list(key), value] for key, value in results.items()]))
    for parallel in args.parallel:
        for i, budget in enumerate(b for b in BUDGETS if b <= args.trials):
            print(f"\n{parallel} at a time, after {budget} trials: mean loss (mean rank; - worse, + better than ours)")
            ranks = []
            for name in names:
                table = np.array(
                    [[results[name, e, s, parallel, args.trials][i] for e in args.engines] for s in range(args.seeds)]
                )
                rank = np.array([rankdata(row.round(9)) for row in table])
                ranks.append(rank.mean(axis=0))
                marks = [significance(table[:, 0], column) for column in table.T]
                cells = zip(args.engines, table.mean(axis=0), ranks[-1], marks, strict=True)
                print(f"  {name:12}", *(f"{e} {mean:.4g} ({r:.1f}{mark})" for e, mean, r, mark in cells), sep="  ")
            means = zip(args.engines, np.mean(ranks, axis=0), strict=True)
            print(f"  {'mean rank':12}", *(f"{e} {r:.2f}" for e, r in means), sep="  ")


def significance(first, other) -> str:
    """Return - where `other` loses to `first` at p < 0.05 (Wilcoxon signed ranks, paired by seed), + where it wins."""
    difference = other - first
    if len(first) < 6 or np.allclose(difference, 0):
        return ""
    if wilcoxon(difference).pvalue >= 0.05:
        return ""
    return "-" if np.median(difference) > 0 or difference.mean() > 0 else "+"


def speed(_args) -> None:
    wide = exact("wide", floats(**{f"x{i}": (0, 1) for i in range(20)}), lambda c: sum(v * v for v in c.values()))
    rng = np.random.default_rng(0)
    for n in (10, 100, 300, 1000):
        for sampler in ("gp", "tpe"):
            search = ours(wide, 0, sampler)
            configs = [{name: float(rng.random()) for name in parameters_of(wide)} for _ in range(n)]
            told = [
                Observation(number=i, config=c, outcome=Outcome.FINISHED, scores=(wide.true_loss(c),), order=i)
                for i, c in enumerate(configs)
            ]
            search.suggest(n, told, [])
            start = time.perf_counter()
            for i in range(5):
                search.suggest(n + i, told, [])
            print(
                f"{sampler}: {n} observations, 20 parameters: {(time.perf_counter() - start) / 5:.3f} s per suggestion"
            )


def stopping(args) -> None:
    """Replay the digits table with 60 random configs, 8 at a time, and count epochs until the best is good enough."""
    curves = np.array([table.mean(axis=0) for table in mlp_table(CACHE).values()])
    rules = {
        "none": None,
        "hyperband": EarlyTerminate(type="hyperband", min_iter=1, eta=3.0),
        "asha": EarlyTerminate(type="asha", min_iter=1, eta=3.0),
        "asha patient rungs": EarlyTerminate(type="asha", min_iter=3, eta=3.0),
        "median": EarlyTerminate(type="median", min_iter=3),
    }
    for name, early in rules.items():
        spent, best = zip(*(replay(early, curves, seed) for seed in range(args.seeds)), strict=True)
        print(f"{name:20} {np.mean(spent):7.1f} epochs, best error {np.mean(best):.4f}")


def replay(early, curves, seed):
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(curves))[:60]
    spec = SweepSpec(method=Method.RANDOM, parameters={}, metric=Metric(name="error"), early_terminate=early)
    rule = make_rule(spec)
    done: dict[int, int] = {}
    running, waiting, stopped = [], list(range(60)), set()
    while running or waiting:
        while waiting and len(running) < 8:
            running.append(waiting.pop(0))
            done[running[-1]] = 0
        for trial in running:
            done[trial] += 1
        now = {t: Curve(scores=curves[chosen[t]][: done[t]].tolist(), running=t in running) for t in done}
        stopped |= {stop.trial for stop in rule.decide(now, list(running))}
        running = [t for t in running if t not in stopped and done[t] < MLP_EPOCHS]
    return sum(done.values()), min(curves[chosen[t]][: done[t]].min() for t in done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["quality", "speed", "stopping"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--parallel", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--engines", nargs="+", default=list(ENGINES)[:4])
    parser.add_argument("--tasks", nargs="*")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", help="also write the raw numbers here")
    args = parser.parse_args()
    {"quality": quality, "speed": speed, "stopping": stopping}[args.what](args)


if __name__ == "__main__":
    main()
