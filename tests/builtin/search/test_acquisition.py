"""What a trial is for: elsewhere unless that failed, and how much of an improvement it wants."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution

from automl_opt.builtin.search.acquisition import MARGIN, acquisition

from .bowls import XY, bowl, history_of

POINTS = np.random.default_rng(0).random((45, 2)).tolist()
BRANCHES = {"kind": CategoricalDistribution(("a", "b")), **XY}


def values(n, value=bowl):
    return [({"x": x, "y": y}, value(x, y)) for x, y in POINTS[:n]]


def branched(n):
    """Half of them have y as well."""
    found = [({"kind": "ab"[k % 2], **point}, value) for k, (point, value) in enumerate(values(n))]
    for point, _ in found[::2]:
        del point["y"]
    return found


def test_an_old_incumbent_is_left_alone_unless_most_of_what_is_elsewhere_failed():
    """Of 41 random trials the 33rd is the best, at x = .3."""
    harmless = history_of(values(41), XY)
    failing = history_of(values(41, lambda x, y: bowl(x, y) if abs(x - 0.3) < 0.15 else None), XY)

    assert len(acquisition(harmless).banned) == 1
    assert len(acquisition(failing).banned) == 0


def test_alone_in_a_flat_space_a_trial_is_to_better_the_best():
    assert acquisition(history_of(values(40), XY)).margin == 0.0


@pytest.mark.parametrize("beside", ["running trials", "branches"])
def test_else_it_is_to_better_it_by_a_margin_of_its_own(beside):
    def chooser(n):
        if beside == "branches":
            return acquisition(history_of(branched(n), BRANCHES))
        return acquisition(history_of(values(n), XY, running=[{"x": 0.5, "y": 0.5}]))

    margins = [chooser(n).margin for n in range(20, 45)]

    assert chooser(20).branch is None
    assert chooser(20).margin == margins[0]
    assert len(set(margins)) == len(margins)
    assert min(margins) > 0.0
    assert np.mean(margins) == pytest.approx(MARGIN, rel=0.5)


def test_where_a_branch_is_served_the_best_of_it_is_to_be_bettered():
    trials = [t for t in branched(40) if t[0]["kind"] == "a"]

    served = acquisition(history_of([*trials, branched(2)[1]], BRANCHES))

    assert served.branch is not None
    assert served.margin == 0.0
