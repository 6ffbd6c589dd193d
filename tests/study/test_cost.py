from __future__ import annotations

import itertools
import statistics

import pytest

from automl_opt.core.result import Status
from automl_opt.study.cost import costs_of, expected_best

from .test_ranking import row


@pytest.mark.parametrize("maximize", [False, True])
def test_the_expected_best_is_that_of_every_draw_there_is(maximize):
    values = [0.3, 0.1, 0.1, 0.7]
    best = max if maximize else min

    found = expected_best(values, maximize=maximize)

    for n in (1, 2, 3, 4):
        draws = [best(draw) for draw in itertools.product(values, repeat=n)]
        assert found[n - 1] == pytest.approx((statistics.mean(draws), statistics.pstdev(draws)))


def test_of_nothing_nothing_is_expected():
    assert expected_best([], maximize=True) == []


TRIALS = [
    *(row("a", n, Status.COMPLETE, v, 2.0) for n, v in enumerate([0.5, 0.4, 0.4, 0.3, 0.35])),
    row("bb", 0, Status.DIVERGED, None, 1.0),
    row("bb", 1, Status.PRUNED, 0.1, 1.0),
    *(row("bb", n, Status.COMPLETE, v, 1.0) for n, v in [(2, 0.45), (3, 0.2), (4, 0.9)]),
    row("bb", 5, Status.RUNNING, None, 5.0),
]


def test_costs_are_what_a_hand_counts():
    costs = costs_of(TRIALS, ["a", "bb"], maximize=False)
    a, bb = costs.arms

    assert a.best_so_far == (0.5, 0.4, 0.4, 0.3, 0.3)
    assert bb.best_so_far == (None, None, 0.45, 0.2, 0.2)
    assert (a.trials, a.seconds) == (5, 10.0)
    assert (bb.trials, bb.seconds) == (5, 5.0)
    assert costs.target == 0.3  # of .2 and .3 the one that both reached
    assert a.to_target == (4, 8.0)
    assert bb.to_target == (4, 4.0)
    assert costs.leaders == {5: "bb"}
    assert len(bb.expected) == 3


def test_to_maximize_turns_the_order_around():
    costs = costs_of(TRIALS, ["a", "bb"], maximize=True)
    a, bb = costs.arms

    assert a.best_so_far == (0.5,) * 5
    assert bb.best_so_far == (None, None, 0.45, 0.45, 0.9)
    assert costs.target == 0.5
    assert (a.to_target, bb.to_target) == ((1, 2.0), (5, 5.0))


def test_an_arm_that_found_nothing_has_no_time_to_a_target():
    trials = [row("a", 0, Status.COMPLETE, 0.5), row("bb", 0, Status.FAILED)]
    costs = costs_of(trials, ["a", "bb"], maximize=False)

    assert costs.target == 0.5
    assert costs.arms[1].to_target is None
    assert costs.arms[1].expected == ()
    assert costs.leaders == {}
