"""How good is the search, and what does it cost? Best loss after 25, 50 and 100 trials, and seconds per suggestion.

python benchmarks/search.py                          quick: three tasks, four seeds, 50 trials (a few minutes)
python benchmarks/search.py --full                   six tasks, ten seeds, 100 trials, one and eight at a time (an hour)
python benchmarks/search.py --full --results FILE    in parts: what FILE holds is not run again

Every engine sees the same problems with the same noise; the loss that counts is that of the config which looked best,
without its noise. `-` behind a rank: significantly worse than ours, `+`: significantly better (Wilcoxon's signed ranks
over the seeds, p < 0.05).
"""

import argparse
import json
import os
import sys
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
from search_tasks import TASKS, Task, exact, floats

from orchestrator.search.protocol import Observation, Outcome, Pending

BUDGETS = (25, 50, 100)
RIVALS = ("ours", "random", "optuna-tpe", "wandb-bayes")
QUICK = {"tasks": ["branin", "hartmann6", "mixed"], "seeds": 4, "trials": 50, "parallel": [1]}
FULL = {"tasks": list(TASKS), "seeds": 10, "trials": 100, "parallel": [1, 8]}
MIN_SEEDS = 6
"""Fewer pairs than this cannot be significant."""


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


def job(key):
    name, *rest = key
    return run(TASKS[name](), *rest)


def quality(args) -> None:
    keys = list(product(args.tasks, args.engines, range(args.seeds), args.parallel, [args.trials]))
    results = load(args.results)
    left = [key for key in keys if key not in results]
    for name in sorted({key[0] for key in left}):
        TASKS[name]()  # what is computed once, before there are several processes
    with ProcessPoolExecutor(args.processes) as pool:
        for key, losses in zip(left, pool.map(job, left), strict=True):
            results[key] = losses
            save(args.results, key, losses)
    for parallel, (i, budget) in product(args.parallel, enumerate(b for b in BUDGETS if b <= args.trials)):
        print(f"\n{parallel} at a time, after {budget} trials: mean loss (mean rank)")
        ranks = []
        for name in args.tasks:
            runs = [[results[name, e, s, parallel, args.trials][i] for e in args.engines] for s in range(args.seeds)]
            table = np.array(runs)
            ranks.append(rankdata(table.round(9), axis=1).mean(axis=0))
            marks = [significance(table[:, 0], column) for column in table.T]
            cells = zip(args.engines, table.mean(axis=0), ranks[-1], marks, strict=True)
            print(f"  {name:11}", *(f"{e} {mean:.4g} ({rank:.1f}{mark})" for e, mean, rank, mark in cells), sep="  ")
        means = zip(args.engines, np.mean(ranks, axis=0), strict=True)
        print(f"  {'mean rank':11}", *(f"{e} {rank:.2f}" for e, rank in means), sep="  ", flush=True)


def significance(first, other) -> str:
    """Return - where `other` loses to `first` at p < 0.05, + where it wins."""
    difference = (other - first).round(12)
    if len(first) < MIN_SEEDS or not difference.any() or wilcoxon(difference).pvalue >= 0.05:
        return ""
    signs = rankdata(np.abs(difference)) * np.sign(difference)
    return "-" if signs.sum() > 0 else "+"


def load(path) -> dict:
    if path is None or not Path(path).exists():
        return {}
    return {tuple(key): losses for key, losses in map(json.loads, Path(path).read_text().splitlines())}


def save(path, key, losses) -> None:
    if path is not None:
        with Path(path).open("a") as file:
            file.write(json.dumps([key, losses]) + "\n")


def speed() -> None:
    """Ask with one more observation each time, as a sweep does."""
    wide = exact("wide", floats(**{f"x{i}": (0, 1) for i in range(20)}), lambda c: sum(v * v for v in c.values()))
    rng = np.random.default_rng(0)
    print("\nseconds per suggestion (CPU time), 20 parameters")
    configs = [{name: float(rng.random()) for name in parameters_of(wide)} for _ in range(1000)]
    told = [
        Observation(number=i, config=c, outcome=Outcome.FINISHED, scores=(wide.true_loss(c),), order=i)
        for i, c in enumerate(configs)
    ]
    for sampler in ("gp", "tpe"):
        ours(wide, 0, sampler).suggest(20, told[:20], [])  # imports
        costs = []
        for n in (10, 100, 300, 1000):
            search = ours(wide, 0, sampler)
            search.suggest(n - 8, told[: n - 8], [])
            began_s = time.process_time()
            for known in range(n - 7, n + 1):
                search.suggest(known, told[:known], [])
            costs.append(f"{n} observations {(time.process_time() - began_s) / 8:.3f}")
        print(f"  {sampler:4}", *costs, sep="  ", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="what runs without any option")
    size.add_argument("--full", action="store_true")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--parallel", type=int, nargs="+")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS))
    parser.add_argument("--engines", nargs="+", default=list(RIVALS), choices=list(ENGINES), help="the first is `ours`")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--results", help="keep the numbers of every run here, one line each")
    args = parser.parse_args()
    for name, value in (FULL if args.full else QUICK).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    quality(args)
    speed()


if __name__ == "__main__":
    main()
