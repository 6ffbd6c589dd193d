from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest
from scipy.stats import binomtest, multivariate_normal, norm, t, ttest_rel

from automl_opt.study.paired import differences, failure_bound, looks, reach, sign_test

RNG = np.random.default_rng(0)
A, B = RNG.normal(1.0, 1.0, 20), RNG.normal(0.3, 2.0, 20)


def test_the_looks_spend_five_percent_in_all():
    """The first three by their joint distribution, the later ones as a sum."""
    found = list(islice(looks(), 60))
    seeds, levels = np.array(found[:3]).T
    correlation = np.sqrt(np.minimum.outer(seeds, seeds) / np.maximum.outer(seeds, seeds))
    limits = norm.isf(levels / 2)
    rng = np.random.default_rng(0)
    joint = multivariate_normal(cov=correlation).cdf(limits, lower_limit=-limits, rng=rng)

    assert found[:5] == [(10, 0.005), (20, 0.01), (40, 0.0275), (80, 0.006), (160, 0.003)]
    assert 1 - joint == pytest.approx(0.0364, abs=1e-3)  # the spread known
    assert called_different(found[:3]) == pytest.approx(0.0376, abs=0.001)  # the spread estimated
    assert sum(alpha for _, alpha in found[3:]) == pytest.approx(0.012)


def called_different(found, repetitions=200_000):
    """The share of equals that a t-test calls different at any of the looks *found*."""
    x = np.random.default_rng(0).normal(size=(repetitions, found[-1][0]))
    called = np.zeros(repetitions, bool)
    for n, alpha in found:
        mean, sd = x[:, :n].mean(1), x[:, :n].std(1, ddof=1)
        called |= np.abs(mean) * math.sqrt(n) > t.isf(alpha / 2, n - 1) * sd
    return called.mean()


@pytest.mark.parametrize("alpha", [0.0125, 0.00625, 0.05])
def test_the_interval_is_that_of_scipys_paired_t_test(alpha):
    found = differences(list(A), list(B))

    interval = ttest_rel(A, B).confidence_interval(1 - alpha)

    assert found.interval(alpha) == pytest.approx((interval.low, interval.high))


def test_the_reach_of_ten_seeds_is_the_tabled_quantile():
    assert reach(10, 0.05) * math.sqrt(10) == pytest.approx(2.262, abs=5e-4)


@pytest.mark.parametrize(("wins", "losses"), [(9, 1), (8, 2), (6, 0), (5, 5), (2, 14), (0, 3)])
def test_the_sign_test_counts_every_outcome_as_extreme(wins, losses):
    n, most = wins + losses, max(wins, losses)
    tail = sum(math.comb(n, k) for k in range(most, n + 1)) / 2**n

    assert sign_test(wins, losses) == pytest.approx(min(1.0, 2 * tail))


def test_a_sign_test_of_nothing_says_nothing():
    assert sign_test(0, 0) == 1.0


@pytest.mark.parametrize(("failed", "runs"), [(0, 20), (3, 20), (19, 20), (20, 20)])
def test_the_bound_on_failures_is_clopper_and_pearsons(failed, runs):
    # its one-sided 95 % is the upper end of a two-sided 90 %
    interval = binomtest(failed, runs).proportion_ci(0.9, method="exact")

    assert failure_bound(failed, runs) == pytest.approx(interval.high)


def test_no_failure_in_n_is_a_rate_below_three_in_n():
    assert failure_bound(0, 59) == pytest.approx(1 - 0.05 ** (1 / 59))


def test_a_failed_run_loses_and_two_tie():
    found = differences([1.0, None, None, 2.0], [None, 1.0, None, 2.0])

    assert (found.seeds, found.wins, found.losses) == (4, 1, 1)
    assert found.mean is None
    assert found.interval(0.05) is None


def test_the_spread_is_never_below_the_resolution():
    tied = differences([0.9] * 10, [0.9] * 10, least_sd=0.01)

    assert tied.sd == 0.01
    assert tied.interval(0.05) == pytest.approx((-0.00715, 0.00715), abs=1e-5)


@pytest.mark.parametrize(
    ("mean", "sd", "delta"), [(0.3, 1.0, 0.01), (0.05, 1.0, 0.2), (0.0, 0.05, 0.01), (1.0, 1.0, 9)]
)
def test_a_forecast_is_the_first_later_look_that_would_decide(mean, sd, delta):
    values = np.array([-1.0, 1.0] * 5)
    found = differences(list(mean + sd * values / values.std(ddof=1)), [0.0] * 10)
    at = found.decided_at(delta)

    deciding = []
    for n, alpha in islice(looks(), 1, 10):
        grown = np.array([-1.0, 1.0] * (n // 2))
        interval = ttest_rel(
            mean + sd * grown / grown.std(ddof=1), np.zeros(n)
        ).confidence_interval(1 - alpha)
        apart = interval.low >= 0 or interval.high <= 0
        if apart or (interval.low >= -delta and interval.high <= delta):
            deciding.append(n)
    assert at == deciding[0]


def test_a_difference_at_the_margin_has_no_forecast():
    values = np.array([-1.0, 1.0] * 5)
    found = differences(list(0.001 + values), [0.0] * 10)

    assert found.decided_at(0.001) is None


def test_a_forecast_of_a_sign_test_keeps_the_share_of_wins():
    found = differences([1.0] * 7 + [None] * 3, [0.0] * 10)

    assert found.decided_at(0.01) == 40  # 14 of 20: p = .12; 28 of 40: .0166 < .0275
