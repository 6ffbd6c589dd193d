"""The Gaussian process agrees with scikit-learn's and its gradients with finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal, norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern

from automl_opt.builtin.search.gp import (
    JITTER,
    OTHERS,
    Columns,
    Posterior,
    Prior,
    fit,
    log_improvement,
    negative_log_posterior,
)
from automl_opt.builtin.search.warp import warp

SHAPES = [0.4, -0.3, -0.5, 0.2]  # log a and log b of two columns
COLUMNS = Columns(np.array([0, 1, 1, 2]), warped=np.array([0, 3]), bowl=3.0)
PRIOR = Prior(2.0, alike=(True, False, True), common=0.7)


def bowls(x):
    """Whose inner products are the trend's without products: 1, √2 x, x²."""
    return np.concatenate([np.ones((len(x), 1)), math.sqrt(2) * x, x**2], axis=1)


def products(x):
    """The products of two different columns, times √2."""
    one, other = np.triu_indices(x.shape[1], 1)
    return math.sqrt(2) * x[:, one] * x[:, other]


def rounds(x):
    """The curvature that all columns have in common."""
    return (x**2).sum(axis=1, keepdims=True)


def warped(points):
    """As the kernel has them, by the formula."""
    a, b = np.exp(np.reshape(SHAPES, (2, 2)))
    bent = points.copy()
    bent[:, [0, 3]] = 1 - (1 - (0.01 + 0.98 * points[:, [0, 3]]) ** a) ** b
    return bent


class Linear(DotProduct):
    """Scikit-learn's kernel of a linear model in *features* of numbers scaled from their middle."""

    def __init__(self, features=bowls, roots=1.0, sigma_0=0.0, sigma_0_bounds="fixed"):
        super().__init__(sigma_0, sigma_0_bounds)
        self.features, self.roots = features, roots

    def __call__(self, X, Y=None, eval_gradient=False):
        return super().__call__(self._of(X), None if Y is None else self._of(Y))

    def diag(self, X):
        return super().diag(self._of(X))

    def _of(self, X):
        return self.features((X - 0.5) * self.roots)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    points = rng.random((30, 4))
    return points, np.sin(5 * points[:, 0]) + points[:, 3] ** 2 + 0.1 * rng.standard_normal(30)


@pytest.fixture
def theta():
    return np.array([0.3, -0.5, 1.2, -0.7, -1.6, 0.2, -1.1, *np.log([0.05, 40]), *SHAPES])


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_of_the_posterior_of_the_kernel_is_that_of_finite_differences(data, seed):
    points, targets = data
    theta = PRIOR.centre(COLUMNS) + np.random.default_rng(seed).normal(0, 1, 13)

    def value(t):
        return negative_log_posterior(t, points, targets, COLUMNS, PRIOR)[0]

    _, gradient = negative_log_posterior(theta, points, targets, COLUMNS, PRIOR)

    np.testing.assert_allclose(gradient, approx_fprime(theta, value, 1e-6), rtol=1e-3, atol=1e-3)


def test_the_prior_is_a_normal_one_in_which_like_weights_share_a_part():
    prior = Prior(2.0, weight_sd=1.2, warp_sd=0.3, alike=(True, False, True), common=0.7)
    covariance = np.diag([1.2, 1.2, 1.2, 1.5, 1.5, 0.7, 2.0, 1.5, 2.0] + [0.3] * 4) ** 2
    covariance[0, 2] = covariance[2, 0] = 0.7 * 1.2**2
    dense = multivariate_normal(prior.centre(COLUMNS), covariance)
    one, other = prior.centre(COLUMNS) + np.random.default_rng(0).normal(0, 1, (2, 13))

    difference = prior.penalty(one, COLUMNS)[0] - prior.penalty(other, COLUMNS)[0]

    assert difference == pytest.approx(dense.logpdf(other) - dense.logpdf(one))


def test_a_weight_of_which_nothing_is_known_follows_those_that_it_is_like():
    points = np.random.default_rng(0).random((60, 5))
    points[:, 3:] = 0.5
    targets = np.sin(12 * points[:, :3]).sum(axis=1)
    prior = Prior(2.0, alike=(True, True, True, True, False), common=0.8)

    columns = Columns(np.arange(5), warped=np.arange(0))

    theta = fit(points, targets, columns, prior, iterations=100, flat=0.0)
    found = (theta - prior.centre(columns))[:5]

    assert found[:3].min() > 0.5
    expected = 0.8 * found[:3].sum() / (0.2 + 0.8 * 3)  # of a normal one, given the three
    assert found[3] == pytest.approx(expected, abs=0.01)
    assert found[4] == pytest.approx(0.0, abs=0.01)


def test_means_and_deviations_are_those_of_scikit_learn(data, theta):
    points, targets = data
    new = np.random.default_rng(1).random((7, 4))
    lengths = np.exp(-0.5 * theta[COLUMNS.groups])
    trend, across, signal, local = (ConstantKernel(v) for v in np.exp(theta[3:7]))
    kernel = trend * Linear(bowls, 1.0 / lengths) + across * Linear(products, 1.0 / lengths)
    kernel += COLUMNS.bowl * trend * Linear(rounds, 1.0 / lengths)
    kernel += signal * Matern(lengths, nu=2.5) + local * Matern(lengths / math.sqrt(40), nu=2.5)
    twin = GaussianProcessRegressor(kernel, alpha=math.exp(theta[7]) + JITTER, optimizer=None)
    twin.fit(warped(points), targets)

    means, deviations = Posterior(theta, points, targets, COLUMNS).predict(new)

    expected, expected_deviations = twin.predict(warped(new), return_std=True)
    np.testing.assert_allclose(means, expected, rtol=1e-8)
    np.testing.assert_allclose(deviations, expected_deviations, rtol=1e-6)


def test_what_it_says_of_its_own_points_needs_no_prediction(data, theta):
    posterior = Posterior(theta, *data, COLUMNS)

    np.testing.assert_allclose(posterior.fitted, posterior.means(data[0]), atol=1e-8)


def test_the_fit_is_no_worse_than_any_of_many_random_kernels(data):
    points, targets = data

    found = fit(points, targets, COLUMNS, PRIOR, iterations=100, flat=0.0)

    reached, gradient = negative_log_posterior(found, points, targets, COLUMNS, PRIOR)
    random = PRIOR.centre(COLUMNS) + np.random.default_rng(0).normal(0, 1.5, (200, 13))
    assert reached <= min(
        negative_log_posterior(t, points, targets, COLUMNS, PRIOR)[0] for t in random
    )
    np.testing.assert_allclose(gradient, 0.0, atol=1e-2)


def test_a_fit_that_ends_where_little_is_left_to_gain_is_nearly_as_good(data):
    points, targets = data
    reached = [
        negative_log_posterior(
            fit(points, targets, COLUMNS, PRIOR, iterations=200, **flat),
            *(points, targets, COLUMNS, PRIOR),
        )[0]
        for flat in ({}, {"flat": 0.0})
    ]

    assert 0.0 < reached[0] - reached[1] < 0.1


@pytest.mark.parametrize("rippled", [True, False])
def test_ripples_are_told_from_noise(rippled):
    rng = np.random.default_rng(0)
    points = rng.random((100, 2))
    ripples = np.cos(12 * math.pi * points).sum(axis=1)
    targets = 4 * ((points - 0.4) ** 2).sum(axis=1)
    targets += 0.3 * (ripples if rippled else rng.standard_normal(100))

    columns = Columns(np.arange(2), warped=np.arange(2))

    theta = fit(points, (targets - targets.mean()) / targets.std(), columns, Prior(2.0))

    others = dict(zip(OTHERS, np.exp(columns.parts(theta)[1]), strict=True))
    assert others["trend"] > 0.1
    if rippled:
        assert others["local"] > 20 * others["noise"]
    else:
        assert others["noise"] > 20 * others["local"]


def test_the_gradient_of_log_ei_is_that_of_finite_differences(data, theta):
    posterior = Posterior(theta, *data, COLUMNS)
    new = np.random.default_rng(1).random((5, 4))

    value, gradient = posterior.log_ei_gradient(new, target=-0.5)

    np.testing.assert_allclose(value, posterior.log_ei(new, -0.5), rtol=1e-10)
    for k, point in enumerate(new):
        expected = approx_fprime(point, lambda x: posterior.log_ei(x[None], -0.5)[0], 1e-6)
        np.testing.assert_allclose(gradient[k], expected, rtol=1e-3, atol=1e-3)


def test_log_improvement_is_the_logarithm_where_that_can_be_taken_and_falls_beyond():
    z = np.array([-4.0, -1.0, 0.0, 2.0])
    far = np.array([-1e6, -1e4, -1e3, -100.0, -40.0, -10.0])

    log_h, _ = log_improvement(z)
    log_far, ratio = log_improvement(far)

    np.testing.assert_allclose(log_h, np.log(norm.pdf(z) + z * norm.cdf(z)), rtol=1e-9)
    assert np.isfinite(log_far).all()
    assert (np.diff(log_far) > 0).all()
    np.testing.assert_allclose(ratio[1:], -far[1:], rtol=0.05)  # Φ/h → |z|


def test_a_believed_point_is_certain_and_moves_no_mean(data, theta):
    posterior = Posterior(theta, *data, COLUMNS)
    new = np.random.default_rng(1).random((3, 4))
    elsewhere = np.random.default_rng(2).random((4, 4))

    believing = posterior.believing(new)

    np.testing.assert_allclose(believing.means(elsewhere), posterior.means(elsewhere), atol=1e-8)
    assert (believing.predict(new)[1] < posterior.predict(new)[1]).all()


def test_a_range_that_changes_at_one_end_alone_is_bent():
    points = np.random.default_rng(0).random((60, 2))
    targets = np.sin(20 * points[:, 0] ** 4) + np.sin(6 * points[:, 1])
    columns = Columns(np.arange(2), warped=np.arange(2))

    theta = fit(points, targets, columns, Prior(2.0), iterations=100, flat=0.0)

    middles, _ = warp(np.array([[0.5, 0.5]]), columns.parts(theta)[2])
    assert middles[0, 0] < 0.25  # the upper half takes most of the room
    assert middles[0, 1] == pytest.approx(0.5, abs=0.1)
