"""Warps are distribution functions on [0, 1] whose slopes are those of finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from automl_opt.builtin.search.warp import EDGE, warp


def inner(numbers):
    """Numbers whose warp is the formula's at *numbers*."""
    return (numbers - EDGE) / (1.0 - 2.0 * EDGE)


def test_without_shapes_nothing_is_bent():
    numbers = np.random.default_rng(0).random((20, 3))

    bent, _ = warp(numbers, np.zeros((2, 3)))

    np.testing.assert_allclose(inner(bent), numbers, atol=1e-12)


@pytest.mark.parametrize(("a", "b"), [(2.5, 1.0), (1.0, 3.0), (0.4, 1.0)])
def test_with_one_exponent_it_is_the_distribution_function_of_beta(a, b):
    numbers = np.linspace(0.02, 0.98, 25)[:, None]

    bent, _ = warp(inner(numbers), np.log([[a], [b]]))

    np.testing.assert_allclose(bent, beta.cdf(numbers, a, b), rtol=1e-10)


@pytest.mark.parametrize("shapes", [[-1.5, 1.5], [1.5, -1.5], [0.7, 0.7], [-12.0, 8.0], [8.0, -12]])
def test_it_rises_within_the_unit_interval_and_its_slopes_are_finite(shapes):
    numbers = np.linspace(0.0, 1.0, 101)[:, None]

    bent, slopes = warp(numbers, np.array(shapes)[:, None])

    assert (np.diff(bent[:, 0]) >= 0.0).all()
    assert bent.min() >= 0.0
    assert bent.max() <= 1.0
    assert all(np.isfinite(slope).all() for slope in (slopes.a, slopes.b, slopes.x))


@pytest.mark.parametrize("seed", range(3))
def test_its_slopes_are_those_of_finite_differences(seed):
    rng = np.random.default_rng(seed)
    numbers, shapes = rng.uniform(0.01, 0.99, (6, 2)), rng.normal(0.0, 0.7, (2, 2))
    step = 1e-6

    def difference(of_numbers, of_shapes):
        up, _ = warp(numbers + of_numbers, shapes + of_shapes)
        down, _ = warp(numbers - of_numbers, shapes - of_shapes)
        return (up - down) / (2.0 * step)

    _, slopes = warp(numbers, shapes)

    np.testing.assert_allclose(slopes.x, difference(step, 0.0), rtol=1e-5)
    np.testing.assert_allclose(slopes.a, difference(0.0, [[step], [0.0]]), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(slopes.b, difference(0.0, [[0.0], [step]]), rtol=1e-5, atol=1e-8)
