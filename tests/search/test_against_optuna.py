"""The Gaussian process and its acquisition functions beside Optuna's, which compute the same with torch."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from orchestrator.search.acquisition import (
    Acquisition,
    LogHypervolume,
    LogImprovement,
    LogSuccess,
    Term,
    log_improvement,
)
from orchestrator.search.hypervolume import boxes, reference
from orchestrator.search.kernel import MIN_NOISE, Kernel, Posterior, fit, log_prior
from orchestrator.search.regression import Model

torch = pytest.importorskip("torch")
acqf = pytest.importorskip("optuna._gp.acqf")
gp = pytest.importorskip("optuna._gp.gp")

MIXED = np.array([False, True, False])
RAW = np.array([0.7, -0.4, 2.0, 0.3, -3.0])
"""Raw parameters of a kernel of three features: one that nothing fitted."""


def data(n, seed=0):
    """Two numbers and a category of three, and noisy values."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.random(n), rng.integers(3, size=n), rng.random(n)])
    y = np.sin(5 * x[:, 0]) + 0.4 * x[:, 1] + x[:, 2] ** 2 + 0.2 * rng.standard_normal(n)
    return x, (y - y.mean()) / y.std()


def theirs(x, y, kernel):
    """Optuna's process with a kernel of ours."""
    parameters = (torch.tensor(value, dtype=torch.float64) for value in (kernel.inverse, kernel.scale, kernel.noise))
    process = gp.GPRegressor(torch.tensor(MIXED), torch.from_numpy(x), torch.from_numpy(y), *parameters)
    process._cache_matrix()
    return process


@pytest.fixture
def pair():
    """A model of ours and one of Optuna's that know the same, and points to ask about."""
    x, y = data(40)
    kernel = Kernel.of(MIXED, RAW)
    return Model(x, y, kernel), theirs(x, y, kernel), data(25, seed=1)[0]


def test_the_evidence_is_optunas():
    """The loss of a fit is Optuna's marginal likelihood and the prior, for any parameters."""
    x, y = data(40)
    for raw in (RAW, np.zeros(5), np.array([-3.0, 2.0, 0.0, 1.5, -9.0])):
        expected = -float(theirs(x, y, Kernel.of(MIXED, raw)).marginal_log_likelihood()) - log_prior(raw)[0]
        assert Posterior(x, y, MIXED)(raw)[0] == pytest.approx(expected, rel=1e-9)


def test_the_slope_of_the_evidence_is_its_own():
    """Analytic and numeric gradients agree, the prior's on both sides of the expected noise included."""
    loss = Posterior(*data(40), MIXED)
    for raw in (RAW, np.array([-1.0, 0.5, 0.2, -0.4, -7.0])):
        assert loss(raw)[1] == pytest.approx(approx_fprime(raw, lambda r: loss(r)[0], 1e-7), rel=1e-4)


@pytest.mark.parametrize("n", [3, 12, 80])
def test_a_fit_is_as_good_as_optunas(n):
    """Optuna's fit of the same prior finds no parameters that explain the values better."""
    x, y = data(n)

    def prior(process):
        raw = torch.cat([process.inverse_squared_lengthscales.log(), process.kernel_scale.log()[None]])
        lengths = -0.5 * raw[:-1]
        off = process.noise_var.log() + 5
        spread = off.clamp(min=0) + off.clamp(max=0) / 2.5
        centre = np.sqrt(2) + 0.5 * np.log(3)
        return (-((lengths - centre) ** 2) / 6 - lengths).sum() + raw[-1] - raw[-1].exp() - spread**2 / 2

    other = gp.fit_kernel_params(x, y, MIXED, prior, MIN_NOISE, deterministic_objective=False)
    loss = Posterior(x, y, MIXED)
    found = [raw_of(fit(x, y, MIXED)), raw_of(other)]
    assert loss(found[0])[0] <= loss(found[1])[0] + 1e-3


def raw_of(kernel):
    """The raw parameters of a kernel of ours or of Optuna's."""
    if not isinstance(kernel, Kernel):
        inverse, scale, noise = kernel.inverse_squared_lengthscales, kernel.kernel_scale, kernel.noise_var
        kernel = SimpleNamespace(inverse=inverse.numpy(), scale=float(scale), noise=float(noise))
    return np.log([*kernel.inverse, kernel.scale, kernel.noise - MIN_NOISE])


def test_the_posterior_is_optunas(pair):
    """Means, variances and covariances, with trials that are believed and without."""
    ours, other, points = pair
    assert_same_posterior(ours, other, points)
    believed = data(4, seed=2)[0]
    other.append_running_data(torch.from_numpy(believed), other.posterior(torch.from_numpy(believed))[0])
    assert_same_posterior(ours.believing(believed), other, points)


def assert_same_posterior(ours, other, points):
    """Hold a model against Optuna's."""
    at = torch.from_numpy(points)
    pairs = zip(
        ours.posterior(points) + ours.joint(points), other.posterior(at) + other.posterior(at, True), strict=True
    )
    for own, expected in pairs:
        assert own == pytest.approx(expected.numpy(), abs=1e-10)


@pytest.mark.parametrize("mark", [-1.0, 0.5, 3.0, 40.0])
def test_the_improvement_is_optunas(pair, mark):
    """The log expected improvement and its gradient, also where there is next to none."""
    ours, other, points = pair
    expected = acqf.LogEI(other, None, threshold=mark)
    assert_same(Acquisition([Term(LogImprovement(mark), [ours])]), expected, points)


def test_the_probability_of_success_is_optunas(pair):
    """The log probability of being positive and its gradient; a sum of terms is the sum of theirs."""
    ours, other, points = pair
    success = Term(LogSuccess(), [ours])
    assert_same(Acquisition([success]), acqf.LogPI(other, None, threshold=0.0), points)
    both = acqf.LogCEI(other, None, 0.5, [other], [0.0])
    assert_same(Acquisition([Term(LogImprovement(0.5), [ours]), success]), both, points)


@pytest.mark.parametrize("k", [2, 3])
def test_the_hypervolume_is_optunas(k):
    """The log expected improvement of the hypervolume and its gradient, over the same samples."""
    x, _ = data(30)
    scores = np.random.default_rng(5).normal(size=(30, k))
    kernels = [Kernel.of(MIXED, RAW + 0.1 * i) for i in range(k)]
    improvement = LogHypervolume(scores, 3)
    others = [theirs(x, -scores[:, i], kernel) for i, kernel in enumerate(kernels)]
    expected = acqf.LogEHVI(others, None, torch.from_numpy(-scores), n_qmc_samples=128, qmc_seed=1)
    expected._fixed_samples = torch.from_numpy(improvement._samples)
    models = [Model(x, -scores[:, i], kernel) for i, kernel in enumerate(kernels)]
    assert_same(Acquisition([Term(improvement, models)]), expected, data(25, seed=1)[0], floor=-15)


def assert_same(ours, other, points, floor=-np.inf):
    """Hold values and gradients of an acquisition function against Optuna's."""
    at = torch.from_numpy(points).requires_grad_(True)
    expected = other.eval_acqf(at)
    expected.sum().backward()
    values, gradients = ours.slopes(points)
    expected, by_x = expected.detach().numpy(), at.grad.numpy()
    # Near the bottom the value is that of the smallest gain times the number of boxes, and boxes may be cut otherwise.
    telling = expected > floor
    assert telling.any()
    assert values[telling] == pytest.approx(expected[telling], rel=1e-7, abs=1e-8)
    assert ours.values(points) == pytest.approx(values, rel=1e-10)
    known = telling[:, np.newaxis] & np.isfinite(by_x)  # far out torch's are none
    assert gradients[known] == pytest.approx(by_x[known], rel=1e-5, abs=1e-6)
    assert ours.length_scales == pytest.approx(other.length_scales)


def test_the_improvement_keeps_its_precision():
    """From 30 standard deviations below to 30 above; the two formulas meet where one hands over to the other."""
    z = np.linspace(-30, 30, 1001)
    assert log_improvement(z) == pytest.approx(acqf.standard_logei(torch.from_numpy(z)).numpy(), rel=1e-9)
    assert np.diff(log_improvement(np.array([-25 - 1e-9, -25 + 1e-9])))[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("n", [1, 2, 40])
def test_boxes_fill_what_scores_leave_open(n, k):
    """A random point below the limit lies in exactly one box, or is dominated; whole numbers bring ties."""
    rng = np.random.default_rng(n + k)
    scores = rng.integers(12, size=(n, k)).astype(float) / 4
    limit = reference(scores)
    low, high = boxes(scores, limit)
    assert len(low) <= 2 * n + 1
    points = limit - 4 * rng.random((2000, k))
    is_open = ~(scores[np.newaxis] <= points[:, np.newaxis]).all(axis=2).any(axis=1)
    inside = ((low < points[:, np.newaxis]) & (points[:, np.newaxis] < high)).all(axis=2).sum(axis=1)
    assert (inside == is_open).all()
