"""Is the importance right? Functions whose shares are known, and what is said of them after few trials.

python benchmarks/importance.py           four functions, one seed, 30 trials (two minutes)
python benchmarks/importance.py --full    all functions, six seeds, 30, 60 and 100 trials (hours)

Per function: the true share of each parameter in the variance over the space, what we say of it (`+` visible, `-` no
visible effect, `?` not clear yet), and what Optuna's PED-ANOVA and fANOVA say. Then: how many pairs of parameters
whose shares are 0.1 apart come in the right order, how many of our intervals have the truth in them (give or take half
a percent, as they are shown), how many parameters without an effect are called visible, and of how many with a share
above 0.05 it is said that they have no visible effect.
"""

import argparse
import os
import sys
import warnings
from collections import Counter
from itertools import permutations, product
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import optuna
from importance_tasks import TASKS, fences, parameter, truth
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator
from optuna.trial import create_trial

from orchestrator.ledger.records import TrialState
from orchestrator.reporting.finals import final_scores
from orchestrator.reporting.importance import assess
from orchestrator.search.encoding import Encoding
from orchestrator.search.factory import make_search
from orchestrator.search.protocol import Observation, Outcome
from orchestrator.spec.model import Goal, Method, Metric, Options, SweepSpec
from orchestrator.stopping.protocol import Curve
from orchestrator.stopping.rungs import Rungs

APART = 0.1
N_REPORTS = 9
RIVALS = {"ped-anova": PedAnovaImportanceEvaluator, "fanova": lambda: FanovaImportanceEvaluator(seed=0)}
MARKS = {True: "+", False: "-", None: "?"}
DESIGNS = ["random", "bayes", "hyperband"]
QUICK = {"tasks": ["issue", "mixed", "product", "noisy"], "designs": DESIGNS, "seeds": 1, "trials": [30]}
FULL = {"tasks": list(TASKS), "designs": DESIGNS, "seeds": 6, "trials": [30, 60, 100]}


def trials_of(task, design, seed, n):
    """Return configs and losses as a sweep leaves them, the best first."""
    rng = np.random.default_rng([seed, n])
    if design == "bayes":
        configs, losses = searched(task, seed, n, rng)
    else:
        configs = task.space.configs(rng.random((n, task.space.n_axes)))
        losses = np.array([task.loss(config) for config in configs]) + task.noise * rng.normal(size=n)
    order = np.argsort(losses, kind="stable")
    configs, losses = [configs[k] for k in order], losses[order]
    return configs, (stopped(losses, rng) if design == "hyperband" else losses)


def searched(task, seed, n, rng):
    parameters = {name: parameter(**given) for name, given in task.parameters.items()}
    spec = SweepSpec(
        method=Method.BAYES, parameters=parameters, metric=Metric(name="loss"), options=Options(sampler="gp")
    )
    search, told = make_search(spec, task.space, seed), []
    for number in range(n):
        config = search.suggest(number, told, [])
        score = float(task.loss(config) + task.noise * rng.normal())
        told.append(Observation(number=number, config=config, outcome=Outcome.FINISHED, scores=(score,), order=number))
    return [o.config for o in told], np.array([o.scores[0] for o in told])


def stopped(losses, rng):
    """Losses that come down from twice the spread above, report by report, where hyperband ends trials in random order."""
    start = losses + 2 * (np.quantile(losses, 0.9) - losses[0])
    reports = np.arange(1, N_REPORTS + 1)
    whole = losses[:, np.newaxis] + (start - losses)[:, np.newaxis] * np.exp(-reports / 3)
    rule = Rungs(bands=(2, 4), eta=2, strict=True, at_most=False, show=lambda value, cut: (str(value), str(cut)))
    curves = {}
    for k in rng.permutation(len(losses)).tolist():
        for length in reports:
            curves[k] = Curve(scores=whole[k, :length].tolist(), running=True)
            if any(stop.trial == k for stop in rule.decide(curves, [k])):
                break
        curves[k] = Curve(scores=curves[k].scores, running=False)
    done = [len(curves[k].scores) == N_REPORTS for k in range(len(losses))]
    trials = [
        SimpleNamespace(
            number=k, score=min(curves[k].scores), state=TrialState.FINISHED if done[k] else TrialState.STOPPED
        )
        for k in range(len(losses))
    ]
    results = SimpleNamespace(
        ranked=trials, metric=Metric(name="loss", goal=Goal.MINIMIZE), spec=SimpleNamespace(options=Options())
    )
    points = {k: [(i, i, v) for i, v in enumerate(curve.scores, 1)] for k, curve in curves.items()}
    return final_scores(SimpleNamespace(results=results, curves=points))


def rival(evaluator, task, configs, losses):
    """Return what Optuna says of the same trials, of losses cut off where ours are."""
    encoding = Encoding.of(task.space)
    x, cut = np.array([encoding.encode(config) for config in configs]), np.clip(losses, *fences(losses))
    names = [feature.axis.name for feature in encoding.features]
    distributions = {
        f.axis.name: CategoricalDistribution(f.grid.tolist()) if f.is_category else FloatDistribution(0.0, 1.0)
        for f in encoding.features
    }
    study = optuna.create_study()
    for row, loss in zip(x.tolist(), cut.tolist(), strict=True):
        study.add_trial(
            create_trial(params=dict(zip(names, row, strict=True)), distributions=distributions, value=loss)
        )
    return optuna.importance.get_param_importances(study, evaluator=evaluator())


def compare(name, sweep, known, counts):
    """Print what everybody says of one sweep, and count what is right."""
    task, (design, n, seed) = TASKS[name], sweep
    configs, losses = trials_of(task, design, seed, n)
    ours = {i.name: i for i in assess(task.space, configs, losses, seed=seed)}
    said = {"ours": {p: i.share for p, i in ours.items()}}
    said |= {engine: rival(evaluator, task, configs, losses) for engine, evaluator in RIVALS.items()}
    pairs = [(a, b) for a, b in permutations(known, 2) if known[a] > known[b] + APART]
    for engine, shares in said.items():
        counts[engine] += sum(shares[a] > shares[b] for a, b in pairs)
    counts["pairs"] += len(pairs)
    counts["idle"] += sum(share == 0 for share in known.values())
    counts["alarms"] += sum(bool(ours[p].visible) for p, share in known.items() if share == 0)
    counts["denied"] += sum(ours[p].visible is False for p, share in known.items() if share > 0.05)
    if any(known.values()):
        counts["shares"] += len(known)
        counts["covered"] += sum(ours[p].low - 0.005 <= share <= ours[p].high + 0.005 for p, share in known.items())
    print(f"\n{name}, {design}, {n} trials, seed {seed}")
    for p, share in sorted(known.items(), key=lambda item: -item[1]):
        i = ours[p]
        others = "  ".join(f"{engine} {said[engine][p]:.2f}" for engine in RIVALS)
        print(f"  {p:10} {share:.2f}  ours {i.share:.2f} ({i.low:.2f} to {i.high:.2f}) {MARKS[i.visible]}  {others}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS))
    parser.add_argument("--designs", nargs="+", choices=DESIGNS)
    parser.add_argument("--trials", type=int, nargs="+")
    parser.add_argument("--seeds", type=int)
    args = parser.parse_args()
    for name, value in (FULL if args.full else QUICK).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    known = {name: truth(TASKS[name], 1024) for name in args.tasks}
    for design, n in product(args.designs, args.trials):
        counts = Counter()
        for name, seed in product(args.tasks, range(args.seeds)):
            compare(name, (design, n, seed), known[name], counts)
        order = ", ".join(f"{engine} {counts[engine]}/{counts['pairs']}" for engine in ("ours", *RIVALS))
        print(
            f"\n== {design}, {n} trials: order right {order}; intervals with the truth {counts['covered']}/{counts['shares']};"
            f" false alarms {counts['alarms']}/{counts['idle']}; effects denied {counts['denied']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
