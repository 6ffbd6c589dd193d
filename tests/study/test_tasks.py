from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import wilcoxon

from automl_opt.core.errors import VerdictError
from automl_opt.study.tasks import critical_difference, profiles, signed_rank

RNG = np.random.default_rng(3)


def rows(tasks: int, *arms: str) -> dict[str, list[float]]:
    return {arm: [float(v) for v in RNG.normal(0, 1, tasks)] for arm in arms}


def by_hand(differences: list[float]) -> float:
    """Two-sided p of the signed-rank statistic over every assignment of signs."""
    ranks = [1 + sum(abs(o) < abs(d) for o in differences) for d in differences]
    total = sum(ranks)
    seen = sum(r for r, d in zip(ranks, differences, strict=True) if d > 0)
    extreme = abs(seen - total / 2)
    sums = [
        sum(chosen)
        for chosen in (
            [r for r, s in zip(ranks, signs, strict=True) if s]
            for signs in itertools.product((0, 1), repeat=len(ranks))
        )
    ]
    return sum(abs(s - total / 2) >= extreme for s in sums) / len(sums)


@pytest.mark.parametrize("tasks", [6, 8, 11])
def test_the_signed_rank_test_is_exact(tasks):
    scores = rows(tasks, "a", "b")
    d = [x - y for x, y in zip(scores["a"], scores["b"], strict=True)]

    found = signed_rank(scores)

    assert found.p == pytest.approx(by_hand(d))
    assert found.p == pytest.approx(wilcoxon(d, method="exact").pvalue)
    assert found.wins == sum(x > 0 for x in d)


def test_six_wins_of_six_tasks_are_just_enough():
    assert signed_rank({"a": [1, 2, 3, 4, 5, 6], "b": [0] * 6}).p == pytest.approx(2 / 64)


def test_equal_differences_and_zeros_are_taken_exactly_too():
    # without the zero: ranks 1.5, 1.5, 3.5, 3.5, 5.5, 5.5 all positive, so 2 of 64 assignments
    found = signed_rank({"a": [1, 1, 2, 2, 3, 3, 0], "b": [0] * 7})

    assert found.p == pytest.approx(2 / 64)


def test_the_critical_difference_is_demsars():
    # Demšar 2006, section 3.2.2: 4 classifiers on 14 data sets, q(.05) = 2.569: CD = 1.25
    found = critical_difference(rows(14, "a", "b", "c", "d"))

    assert found.difference == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 14)), abs=1e-3)
    assert found.difference == pytest.approx(1.25, abs=0.005)


def test_mean_ranks_share_ties_and_begin_at_the_highest_score():
    scores = {"a": [3.0] * 10, "b": [2.0] * 9 + [3.0], "c": [1.0] * 10}

    found = critical_difference(scores)

    assert found.ranks == pytest.approx({"a": 1.05, "b": 1.95, "c": 3.0})
    # chi² of Friedman's test, by its formula with the correction for one tied pair
    n, k = 10, 3
    sums = [10 * found.ranks[arm] for arm in scores]
    chi = 12 / (n * k * (k + 1)) * sum(s * s for s in sums) - 3 * n * (k + 1)
    chi /= 1 - (2**3 - 2) / (n * (k**3 - k))
    assert found.p == pytest.approx(math.exp(-chi / 2))  # two degrees of freedom


def test_a_profile_is_what_a_hand_draws():
    times = {"a": [1.0] * 6, "b": [2.0] * 3 + [8.0, None, 1.0]}

    a, b = profiles(times)

    assert (a.ratios, a.shares, a.score) == ((1.0, 4.0), (1.0, 1.0), 1.0)
    assert b.ratios == (1.0, 2.0, 4.0)
    assert b.shares == pytest.approx((1 / 6, 4 / 6, 4 / 6))
    assert b.score == pytest.approx((1 / 6 * 1 + 4 / 6 * 2) / 3)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: signed_rank(rows(5, "a", "b")), "needs 6 tasks or more; there are 5"),
        (lambda: signed_rank(rows(6, "a", "b", "c")), "two arms, not 3"),
        (lambda: signed_rank({"a": [1.0] * 6, "b": [1.0] * 6}), "same score on each"),
        (lambda: critical_difference(rows(9, *"abc")), "between 3 arms needs 10 tasks"),
        (lambda: critical_difference(rows(14, *"abcde")), "between 5 arms needs 15 tasks"),
        (lambda: critical_difference(rows(19, *"abcdefg")), "between 7 arms needs 20 tasks"),
        (lambda: critical_difference(rows(20, *"ab")), "three arms or more, not 2"),
        (lambda: profiles(rows(5, "a", "b")), "a performance profile needs 6 tasks"),
        (lambda: profiles({"a": [1.0] * 5 + [None], "b": [None] * 6}), "no arm reached .* task 6"),
        (lambda: signed_rank({"a": [1.0] * 6, "b": [1.0] * 7}), "a score on every task"),
    ],
)
def test_too_little_is_refused_with_what_is_needed(ask, says):
    with pytest.raises(VerdictError, match=says):
        ask()
