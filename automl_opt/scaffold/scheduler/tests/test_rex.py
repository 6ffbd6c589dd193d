"""The conformance kit, and what only we know: what REX computes."""

import pytest
from automl_opt.testing import conformance

from automl_opt_acme import factor

test_conformance = conformance("acme")


@pytest.mark.parametrize(("step", "share"), [(0, 1.0), (50, 2 / 3), (100, 0.0)])
def test_at_one_half_it_is_the_schedule_of_the_paper(step, share):
    # by hand: half-way, z = 1/2 and z / (1/2 + z/2) = 2/3
    assert factor(step, 100, bend=0.5) == pytest.approx(share)


def test_without_a_bend_it_is_a_straight_line():
    assert [factor(step, 4, bend=0.0) for step in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]
