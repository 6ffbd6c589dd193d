"""Screening: of the points a strategy drafts, a surrogate says which one to pay for.

Surrogate-assisted evolution (Jin 2011, Swarm and Evolutionary Computation 1:61). Unlike there every
draft is judged by log expected improvement, to which the declared priors add, and only one is
evaluated. Now and then an old incumbent's neighbourhood is left alone
(:mod:`automl_opt.builtin.search.basins`), unless all drafts lie there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from automl_opt.builtin.search.basins import left_alone
from automl_opt.builtin.search.encoding import Array
from automl_opt.builtin.search.history import History
from automl_opt.builtin.search.surrogate import model, view_of


def screened(history: History, genes: Array) -> tuple[Sequence[int], Mapping[str, Any]]:
    """The order in which the snapped drafts *genes* ``[k, p]`` should be tried, and a note.

    While nothing was measured that a surrogate could learn from, it is their own.
    """
    if history.good < 3:
        return range(len(genes)), {}
    surrogate = model(history, view_of(history))
    points, ranked = history.space.cube(genes), history.order[: history.good]
    banned = left_alone(history, surrogate)
    outside = ~surrogate.near(points, banned)
    if not outside.any():
        outside[:], banned = True, banned[:0]
    ranked = ranked[~surrogate.near(history.cube[ranked], banned)]
    gain = surrogate.posterior.log_ei(points, surrogate.target(ranked))
    gain[~outside] = -np.inf
    order = np.argsort(-(gain + history.pull(genes)), kind="stable")
    return order.tolist(), {**surrogate.note, "screened": surrogate.view}
