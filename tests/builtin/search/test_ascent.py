"""The batched ascent ends where SciPy's L-BFGS-B ends, row by row, and never below its start."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from automl_opt.builtin.search.ascent import ascend

FLAT = 1e-5


def bowl(rows, width, seed):
    """An upside-down quadratic bowl whose top may lie outside the unit cube, and starts in it."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((width, width))
    curved = root @ root.T + 0.1 * np.eye(width)
    top = rng.uniform(-0.5, 1.5, width)

    def function(points):
        pull = (points - top) @ curved
        return -0.5 * ((points - top) * pull).sum(axis=1), -pull

    return function, rng.random((rows, width))


@pytest.mark.parametrize("seed", range(20))
def test_it_finds_the_top_of_a_bowl_within_the_cube(seed):
    function, start = bowl(6, 4, seed)

    found = ascend(function, start, np.ones(start.shape, bool), 200, FLAT)

    def loss(point):
        values, slopes = function(point[None])
        return -values[0], -slopes[0]

    for reached, first in zip(function(found)[0], start, strict=True):
        expected = minimize(loss, first, jac=True, bounds=[(0.0, 1.0)] * 4, method="L-BFGS-B")
        assert reached == pytest.approx(-expected.fun, abs=1e-3)


def test_what_is_not_free_stays_and_no_row_goes_down():
    function, start = bowl(8, 5, 0)
    free = np.random.default_rng(1).random(start.shape) < 0.5
    free[0] = False

    found = ascend(function, start, free, 7, FLAT)

    np.testing.assert_array_equal(found[~free], start[~free])
    assert (function(found)[0] >= function(start)[0]).all()
    assert (function(found)[0][1:] > function(start)[0][1:]).any()


def test_a_row_does_not_feel_the_others():
    function, start = bowl(6, 4, 3)

    together = ascend(function, start, np.ones(start.shape, bool), 30, FLAT)

    np.testing.assert_allclose(
        ascend(function, start[2:3], np.ones((1, 4), bool), 30, FLAT)[0], together[2], atol=1e-9
    )


def test_it_asks_no_more_often_than_it_may():
    function, start = bowl(3, 4, 4)
    calls = []

    def counted(points):
        calls.append(points)
        return function(points)

    ascend(counted, start, np.ones(start.shape, bool), 5, FLAT)

    assert len(calls) == 5


def test_a_row_that_has_arrived_is_evaluated_no_more():
    function, start = bowl(6, 4, 5)
    free = np.ones(start.shape, bool)
    free[4] = False
    counts = []

    def counted(points):
        counts.append(len(points))
        return function(points)

    ascend(counted, start, free, 200, FLAT)

    assert counts[:2] == [6, 5]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < 5
    assert len(counts) < 200
