from __future__ import annotations

import itertools

import pytest

from automl_opt.search.allocation import History, next_arm


def spent(allocation: str, trials: int, levels: list[float], fails: tuple[int, ...] = ()):
    """How many trials each arm gets when every trial of arm *i* has the score ``levels[i]``."""
    scores: list[list[float | None]] = [[] for _ in levels]
    order = []
    while True:
        arms = [History(len(row), row) for row in scores]
        i = next_arm(allocation, trials, arms)
        if i is None:
            return [len(row) for row in scores], order
        scores[i].append(None if i in fails else levels[i])
        order.append(i)


def test_equal_gives_every_arm_its_trials_in_turn():
    counts, order = spent("equal", 3, [0.1, 0.9, 0.5])

    assert counts == [3, 3, 3]
    assert order == [0, 1, 2] * 3


def test_leaders_get_what_is_left_after_seventy_percent():
    counts, order = spent("leaders", 10, [0.1, 0.9, 0.5, 0.4])

    assert counts == [7, 13, 13, 7]
    assert order[:28] == [0, 1, 2, 3] * 7


def test_elimination_drops_the_last_after_a_floor_and_after_each_round():
    counts, order = spent("elimination", 8, [0.1, 0.9, 0.5, 0.4])

    # 4 each; then 2 to the three best, then 2 to two, and what is left of 32 to these
    assert counts[0] == 4
    assert counts[3] == 6
    assert counts[1] + counts[2] == 22
    assert abs(counts[1] - counts[2]) <= 1
    assert order[:16] == [0, 1, 2, 3] * 4


@pytest.mark.parametrize("allocation", ["equal", "leaders", "elimination"])
@pytest.mark.parametrize("arms", [1, 2, 3, 7])
@pytest.mark.parametrize("trials", [1, 2, 5, 20])
def test_the_budget_is_spent_to_the_last_trial_and_never_more(allocation, arms, trials):
    counts, _ = spent(allocation, trials, [i / 10 for i in range(arms)])

    assert sum(counts) == arms * trials
    assert min(counts) >= (trials + 1) // 2


@pytest.mark.parametrize("allocation", ["leaders", "elimination"])
def test_an_arm_that_fails_leads_nowhere_and_breaks_nothing(allocation):
    counts, _ = spent(allocation, 10, [0.9, 0.5, 0.4], fails=(0,))
    all_failed, _ = spent(allocation, 10, [0.9, 0.5, 0.4], fails=(0, 1, 2))

    assert counts[0] < counts[1]
    assert counts[0] < counts[2]
    assert sum(all_failed) == 30


@pytest.mark.parametrize("allocation", ["leaders", "elimination"])
def test_whom_it_chooses_is_settled_by_the_trials_before_the_cut(allocation):
    """So a study that goes on after a kill chooses whom the undisturbed one did."""
    late = [[0.5] * 7 + [9.0] * 6, [0.6] * 13, [0.7] * 13]
    arms = [History(7, late[0]), History(8, late[1]), History(8, late[2])]

    assert next_arm("leaders", 10, arms) in (1, 2)
    for extra in itertools.product((0, 3), repeat=2):
        grown = [arms[0], History(8 + extra[0], late[1]), History(8 + extra[1], late[2])]
        assert next_arm(allocation, 10, grown) != 0
