"""Basins: an incumbent that has grown old shares the search with places that are not like it.

It is old after 8 trials in which it was hardly bettered: every second trial then looks elsewhere,
and after 16 and 24 also into a third and a fourth basin, away from the best of the others too. In a
flat space the first trials seek the incumbent's alone: they are too few to know even that.
"""

from __future__ import annotations

import numpy as np

from automl_opt.builtin.search.encoding import Array
from automl_opt.builtin.search.history import History
from automl_opt.builtin.search.surrogate import Surrogate

STALE = 8
"""Trials after which an incumbent shares the search with one basin more."""
EACH, SHARED = 10, 250
"""Of a flat space with p parameters the first ``min(10 p, 250 / p)`` trials seek no other basin."""
BASINS = 4
"""The incumbent's among them."""
HARDLY = 0.05
"""Share of the way from the best to the median trial that is no improvement worth the name."""


def left_alone(history: History, surrogate: Surrogate) -> Array:
    """The best of the basins that are not to be searched in this trial: rows ``[m, width]``.

    None where it is the incumbent's turn, which is always so while it is young, or where most of
    the trials elsewhere were bad. Of the *history* at least one row must be good; *surrogate* tells
    what is near what.
    """
    ranked = history.cube[history.order[: history.good]]
    apart = ranked[:0]
    count = _turn(history)
    while len(apart) < count and len(ranked):
        apart = np.concatenate([apart, ranked[:1]])
        ranked = ranked[~surrogate.near(ranked, ranked[:1])]
    elsewhere = history.bad[~surrogate.near(history.cube, apart)]
    return apart[:0] if elsewhere.sum() > len(elsewhere) / 2 else apart


def _turn(history: History) -> int:
    """Which basin's turn it is: 0 is the incumbent's, as in all of the first trials.

    An incumbent that is hardly better than another is as old as that one: crumbs do not make it
    new.
    """
    p = len(history.space)
    if not history.space.conditions and len(history) < min(EACH * p, SHARED / p):
        return 0
    least, median = history.loss.min(), np.median(history.loss[~history.bad])
    as_good = history.loss <= least + HARDLY * (median - least)
    age = len(history) - int(np.argmax(as_good))
    return history.index % min(BASINS, 1 + (age - 1) // STALE)
