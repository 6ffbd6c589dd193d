"""Screening: of the points a strategy drafts, a surrogate says which one to pay for.

Surrogate-assisted evolution (Jin 2011, Swarm and Evolutionary Computation 1:61), with the local
search of a memetic algorithm (Moscato 1989): the best drafts climb before one is chosen
(:mod:`automl_opt.builtin.search.acquisition`), and only that one is evaluated. What the strategy
notes of a draft is noted of what it became.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from automl_opt.builtin.search.acquisition import acquisition
from automl_opt.builtin.search.encoding import Array
from automl_opt.builtin.search.history import History
from automl_opt.builtin.search.sampler import Drafts

CLIMBING = 4
"""Drafts that follow the gradient of log-EI."""
EXPECTED = 20
"""Points from the declared priors that are screened with the drafts."""
SERVING = 60
"""Points of a branch that is short of trials, likewise: a strategy may draft none there."""


def screened(
    history: History, drafts: Drafts, rng: np.random.Generator
) -> tuple[Drafts, Mapping[str, Any]]:
    """The snapped *drafts* in the order in which they should be tried, and a note.

    While nothing was measured that a surrogate could learn from, it is their own.
    """
    if history.good < 3:
        return drafts, {}
    chooser = acquisition(history)
    others: list[Array] = []
    if history.priors is not None:
        others.append(history.priors.draw(rng, EXPECTED))
    if chooser.branch is not None:
        others.append(history.space.snap(chooser.branch.draw(history, rng, SERVING)))
    genes, sources = chooser.best_first(np.concatenate([drafts.genes, *others]), CLIMBING)
    own = len(drafts.genes)
    notes = [drafts.note(k) if k < own else {} for k in sources.tolist()]
    note = {**chooser.surrogate.note, "screened": chooser.why}
    return replace(drafts, genes=genes, notes=notes), note
