"""The batched ascent ends where SciPy's L-BFGS-B ends, row by row, and never below its start."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from automl_opt.builtin.search.ascent import ascend

FLAT = 1e-5


def bowls(rows, width, seed):
    """Upside-down quadratic bowls, one a row, whose tops may lie outside the unit cube."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((rows, width, width))
    curved = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(width)
    top = rng.uniform(-0.5, 1.5, (rows, width))

    def function(points):
        pull = np.einsum("kij,kj->ki", curved, points - top)
        return -0.5 * np.einsum("ki,ki->k", points - top, pull), -pull

    return function, rng.random((rows, width))


@pytest.mark.parametrize("seed", range(5))
def test_it_finds_the_top_of_each_bowl_within_the_cube(seed):
    function, start = bowls(6, 4, seed)

    found = ascend(function, start, np.ones(start.shape, bool), 200, FLAT)

    for k in range(len(start)):

        def loss(point, k=k):
            values, slopes = function(np.repeat(point[None], len(start), axis=0))
            return -values[k], -slopes[k]

        expected = minimize(loss, start[k], jac=True, bounds=[(0.0, 1.0)] * 4, method="L-BFGS-B")
        assert function(found)[0][k] == pytest.approx(-expected.fun, abs=1e-3)


def test_what_is_not_free_stays_and_no_row_goes_down():
    function, start = bowls(8, 5, 0)
    free = np.random.default_rng(1).random(start.shape) < 0.5
    free[0] = False

    found = ascend(function, start, free, 7, FLAT)

    np.testing.assert_array_equal(found[~free], start[~free])
    assert (function(found)[0] >= function(start)[0]).all()
    assert (function(found)[0][1:] > function(start)[0][1:]).any()


def test_a_row_does_not_feel_the_others():
    function, start = bowls(6, 4, 3)

    together = ascend(function, start, np.ones(start.shape, bool), 30, FLAT)

    def alone(points):
        values, slopes = function(np.repeat(points, 6, axis=0))
        return values[2:3], slopes[2:3]

    np.testing.assert_allclose(
        ascend(alone, start[2:3], np.ones((1, 4), bool), 30, FLAT)[0], together[2], atol=1e-9
    )


def test_it_asks_no_more_often_than_it_may():
    function, start = bowls(3, 4, 4)
    calls = []

    def counted(points):
        calls.append(points)
        return function(points)

    ascend(counted, start, np.ones(start.shape, bool), 5, FLAT)

    assert len(calls) == 5
