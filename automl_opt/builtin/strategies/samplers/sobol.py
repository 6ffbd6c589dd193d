"""A scrambled Sobol sequence over mixed and conditional spaces."""

from __future__ import annotations

import numpy as np

from automl_opt.api import SearchSpace
from automl_opt.builtin.search import Drafts, History, HistorySampler, sobol


class Sobol(HistorySampler):
    """Trial *n* is point *n* of one sequence, whose scramble is the study's.

    Sobol 1967 in Owen's scrambling (1998), one dimension for every parameter of the tree; those
    that do not exist at a point are passed over. Unlike Optuna's QMCSampler, which counts in the
    study's attributes and is given the seed of the sequence, the place is the trial's and the
    scramble is noted on the first one: many workers and interruptions leave no gap. Points that a
    small discrete space repeats are passed over for the next ones of the sequence.
    """

    def __init__(self, *, space: SearchSpace | None, seed: int | None) -> None:
        super().__init__(space=space, seed=seed, start=1)

    def starts(self, history: History) -> bool:
        return history.index == 0

    def propose(self, history: History, rng: np.random.Generator, n: int) -> Drafts:
        return Drafts(sobol(history.space, history.seed, history.index), "Sobol", ranked=True)
