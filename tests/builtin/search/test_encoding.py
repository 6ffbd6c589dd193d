"""The encoding loses nothing, and knows which parameters exist."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_opt.api import Float, Int, OneOf, SearchSpace
from automl_opt.builtin.search.encoding import SIDE, Space, declared, learnt, mirror
from automl_opt.core.space import Entry

from .spaces import RANGES, is_legal, spaces

SEEDS = st.integers(0, 2**32 - 1)


def same(one, other):
    """Equal values; those on a continuous scale to the last digits of their logarithm."""
    return one.keys() == other.keys() and all(
        type(one[n]) is type(other[n])
        and (
            math.isclose(one[n], other[n], rel_tol=1e-12, abs_tol=1e-12)
            if type(one[n]) is float
            else one[n] == other[n]
        )
        for n in one
    )


@given(spaces(), SEEDS)
def test_a_drawn_point_is_legal_and_comes_back_from_its_values_and_from_its_cube(space, seed):
    encoding = Space(*declared(space))

    genes = encoding.draw(np.random.default_rng(seed), 5)
    values = [encoding.values(row) for row in genes]

    assert all(is_legal(space, v) for v in values)
    back = np.array([encoding.row(v) for v in values])
    np.testing.assert_allclose(back, genes, atol=1e-12)
    assert all(same(encoding.values(row), v) for row, v in zip(back, values, strict=True))
    np.testing.assert_allclose(encoding.from_cube(encoding.cube(genes)), genes, atol=1e-12)


@pytest.mark.parametrize("param", RANGES, ids=str)
def test_every_value_of_a_grid_comes_back_exactly(param):
    encoding = Space(*declared(SearchSpace((Entry("x", param),))))
    if isinstance(param, OneOf):
        values = list(param.choices)
    elif isinstance(param, Int):
        values = list(range(param.low, param.high + 1, param.step))
    elif param.step:
        steps = round((param.high - param.low) / param.step)
        values = [param.low + k * param.step for k in range(steps + 1)]
    else:
        values = [param.low, param.high]

    back = [encoding.values(encoding.snap(encoding.row({"x": v})[None])[0])["x"] for v in values]

    assert back == pytest.approx(values, rel=1e-14) if param.__class__ is Float else back == values


@given(spaces(), SEEDS)
def test_snapping_twice_changes_nothing(space, seed):
    encoding = Space(*declared(space))
    wild = np.random.default_rng(seed).normal(0.5, 2.0, (6, len(encoding)))

    once = encoding.snap(wild)

    np.testing.assert_array_equal(encoding.snap(once), once)
    assert all(is_legal(space, encoding.values(row)) for row in once)


def test_logarithmic_ranges_are_even_in_the_logarithm_and_steps_are_middles_of_bins():
    space = SearchSpace((Entry("lr", Float(1e-4, 1.0, log=True)), Entry("n", Int(0, 3))))
    encoding = Space(*declared(space))

    genes = encoding.row({"lr": 1e-3, "n": 0})

    np.testing.assert_allclose(genes, [0.25, 0.125])


def test_choices_are_one_apart_and_absent_ones_in_the_middle():
    space = SearchSpace(
        (
            Entry("kind", OneOf(("a", "b", "c"))),
            Entry("x", Float(0.0, 1.0), (("kind", ("a",)),)),
            Entry("sub", OneOf((1, 2)), (("kind", ("a",)),)),
        )
    )
    encoding = Space(*declared(space))

    a, b = encoding.cube(encoding.snap(np.array([[0.0, 0.9, 1.0], [1.0, 0.9, 1.0]])))

    np.testing.assert_allclose(a, [SIDE, 0, 0, 0.9, 0, SIDE])
    np.testing.assert_allclose(b, [0, SIDE, 0, 0.5, 0, 0])
    assert np.linalg.norm(a[:3] - b[:3]) == pytest.approx(1.0)


@given(spaces(), SEEDS)
def test_the_learnt_tree_agrees_with_the_declared_one_about_every_trial_it_saw(space, seed):
    distributions, tree = declared(space)
    encoding = Space(distributions, tree)
    genes = encoding.draw(np.random.default_rng(seed), 40)
    internal = encoding.internal(genes)
    patterns = [
        {n: v for n, v in zip(encoding.names, row, strict=True) if v == v} for row in internal
    ]

    found = Space(distributions, learnt(distributions, patterns))

    # what it does not understand it takes to exist; what it says is absent was absent
    absent = ~found.active(encoding.filled(genes))
    assert not (absent & ~np.isnan(genes)).any()


def test_a_nested_branch_is_learnt():
    space = SearchSpace(
        (
            Entry("learner", OneOf(("tree", "boost"))),
            Entry("booster", OneOf(("linear", "dart")), (("learner", ("boost",)),)),
            Entry("rate", Float(0, 1), (("learner", ("boost",)), ("booster", ("dart",)))),
        )
    )
    distributions, tree = declared(space)
    encoding = Space(distributions, tree)
    genes = encoding.draw(np.random.default_rng(0), 50)
    patterns = [
        {n: v for n, v in zip(encoding.names, row, strict=True) if v == v}
        for row in encoding.internal(genes)
    ]

    found = Space(distributions, learnt(distributions, patterns))

    np.testing.assert_array_equal(found.active(encoding.filled(genes)), ~np.isnan(genes))


def test_mirroring_reflects_at_both_ends():
    encoding = Space(*declared(SearchSpace((Entry("x", Float(0.0, 1.0)),))))

    mirrored = mirror(np.array([[1.25], [-0.25], [0.5], [2.0]]), encoding)

    np.testing.assert_allclose(mirrored[:, 0], [0.75, 0.25, 0.5, 0.0])
