"""Which sizes of stack pay, from what steps took."""

from __future__ import annotations

import pytest

from automl_opt.training.fused.choose import NEVER, Sizes, fastest

FALLS = {2: 4.0, 12: 9.0, 24: 12.0, 48: 20.0, 64: 26.0}
"""Seconds a step: the larger the stack, the fewer a trial."""

TURNS = {2: 3.0, 12: 9.0, 24: 21.6, 48: 60.0}
"""Of 12 trials .75 a trial, of 24 .9, of 48 1.25."""


def test_the_smallest_is_where_a_stack_takes_less_than_its_trials_alone():
    assert fastest(1.0, FALLS.__getitem__, 64) == Sizes(7, 64)  # 4 + .5 * (7 - 2) < .95 * 7


@pytest.mark.parametrize(("most", "largest"), [(3, 12), (12, 12), (13, 12), (24, 12), (500, 12)])
def test_no_stack_is_larger_than_the_fastest(most, largest):
    timed = []

    def stacked(size):
        timed.append(size)
        return {**TURNS, 13: 10.0}[size]

    sizes = fastest(1.0, stacked, most)

    assert sizes.largest == largest
    assert max(timed) <= max(most, 24)
    assert 48 not in timed  # 24 was no help


def test_a_stack_that_would_pay_beyond_what_was_timed_does_not_pay():
    """A line through 2 and 12 would promise that 16 trials pay."""
    assert fastest(1.0, {2: 7.6, 12: 13.0, 24: 24.0, 48: 50.0}.__getitem__, 500) == Sizes(NEVER, 24)


def test_a_large_stack_may_pay_where_small_ones_do_not():
    assert fastest(1.0, {2: 7.6, 12: 13.0, 24: 20.0}.__getitem__, 24) == Sizes(17, 24)
