"""The searches that are compared, each behind the product's own seam."""

# ruff: noqa: ARG002 - each engine uses the part of the seam that it needs

import math
import warnings

import numpy as np

from orchestrator.search.factory import make_search
from orchestrator.search.protocol import Outcome
from orchestrator.space import SearchSpace
from orchestrator.spec.model import Categorical, Interval, Kind, Method, Metric, Options, SweepSpec


def parameters_of(task):
    """The task's parameters as a spec's: lists, whole-number ranges, linear and logarithmic ones."""
    return {name: parameter(**given) for name, given in task.parameters.items()}


def parameter(*, values=None, min=None, max=None, distribution=None):  # noqa: A002 - W&B's names
    if values is not None:
        return Categorical(values=tuple(values))
    whole = isinstance(min, int) and isinstance(max, int)
    kind = Kind(distribution) if distribution else Kind.INT_UNIFORM if whole else Kind.UNIFORM
    return Interval(kind=kind, min=min, max=max)


def ours(task, seed, sampler="gp"):
    spec = SweepSpec(
        method=Method.BAYES,
        parameters=parameters_of(task),
        metric=Metric(name="loss"),
        options=Options(sampler=sampler),
    )
    return make_search(spec, SearchSpace.of(spec.parameters), seed)


class Random:
    def __init__(self, task, seed):
        self.space = SearchSpace.of(parameters_of(task))
        self.rng = np.random.default_rng(seed)

    def suggest(self, number, observations, pending):
        return self.space.config(self.rng.random(self.space.n_axes))


class OptunaTpe:
    """Optuna as its own documentation uses it: TPESampler with its defaults, lists as categories."""

    def __init__(self, task, seed):
        import optuna
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
        self.space = {}
        for name, p in task.parameters.items():
            if "values" in p:
                self.space[name] = CategoricalDistribution(p["values"])
            elif isinstance(p["min"], int):
                self.space[name] = IntDistribution(p["min"], p["max"])
            else:
                self.space[name] = FloatDistribution(p["min"], p["max"], log="distribution" in p)
        self.trials = {}
        self.told = 0

    def suggest(self, number, observations, pending):
        for observation in observations[self.told :]:
            self.study.tell(self.trials[observation.number], observation.scores[0])
        self.told = len(observations)
        self.trials[number] = self.study.ask(self.space)
        return dict(self.trials[number].params)


class WandbBayes:
    """The `bayes` engine of W&B (sweeps 0.3.0) as its source describes it, quirks included.

    An isotropic Matern-3/2 process on at most 100 observations drawn with replacement, expected improvement over 1,000
    random points, pending points believed at their mean, a random point where the length scale meets its bound.
    """

    def __init__(self, task, seed):
        self.space = SearchSpace.of(parameters_of(task))
        self.rng = np.random.default_rng(seed)

    def suggest(self, number, observations, pending):
        done = [o for o in observations if o.outcome is Outcome.FINISHED]
        if len(done) < 2:
            return self.space.config(self.rng.random(self.space.n_axes))
        x = self.space.points([o.config for o in done])
        y = np.array([o.scores[0] for o in done])
        return self.space.config(self._next(x, y, self.space.points([p.config for p in pending])))

    def _next(self, x, y, in_flight):
        from scipy.stats import norm

        if len(x) > 100:
            chosen = self.rng.integers(len(x), size=100)
            x, y = x[chosen], y[chosen]
        y = y / (np.abs(y).max() or 1)
        y = (y - y.mean()) / (y.std() + 1e-6)
        model = self._fit(x, y)
        if len(in_flight):
            x, y = np.vstack([x, in_flight]), np.concatenate([y, model.predict(in_flight)])
            model = self._fit(x, y)
        candidates = self.rng.random((1000, x.shape[1]))
        length = model.kernel_.length_scale
        if math.isclose(length, 1e-5, rel_tol=1e-3) or math.isclose(length, 1e5, rel_tol=1e-3):
            return candidates[0]
        mean, std = model.predict(candidates, return_std=True)
        z = (y.min() - mean) / (std + 1e-6)
        return candidates[np.argmax((y.min() - mean) * norm.cdf(z) + std * norm.pdf(z))]

    def _fit(self, x, y):
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import Matern

        model = GaussianProcessRegressor(Matern(nu=1.5), alpha=1e-7, n_restarts_optimizer=2, random_state=2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return model.fit(x, y)


ENGINES = {
    "ours": ours,
    "random": Random,
    "optuna-tpe": OptunaTpe,
    "wandb-bayes": WandbBayes,
    "our-tpe": lambda task, seed: ours(task, seed, "tpe"),
}
