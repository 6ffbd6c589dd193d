"""Screening: of the points a strategy drafts, a surrogate says which one to pay for.

Surrogate-assisted evolution (Jin 2011, Swarm and Evolutionary Computation 1:61). Unlike there every
draft is judged by log expected improvement, to which the declared priors add, and only one is
evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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
    target = surrogate.target(history.best(5))
    gain = surrogate.posterior.log_ei(history.space.cube(genes), target)
    order = np.argsort(-(gain + history.pull(genes)), kind="stable")
    return order.tolist(), {**surrogate.note, "screened": surrogate.view}
