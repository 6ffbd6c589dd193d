"""What our strategies share: a start, something to stand on, and a look elsewhere."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from automl_opt.api import SearchSpace
from automl_opt.builtin.search import Drafts, History, HistorySampler
from automl_opt.builtin.strategies.samplers.moves import filled, mutated, some

ELSEWHERE, NEAR = 40, 30
"""Drafts that are added for the surrogate: anywhere, and close to the best."""


class DraftingSampler(HistorySampler):
    """A strategy that drafts once *needed* trials are there that did not fail.

    Where a surrogate chooses, it also sees points anywhere in the space and small steps from the
    best six trials. A strategy that has settled drafts points that look all the same, and the
    surrogate could then neither leave them nor look at the best more closely.
    """

    needed = 1

    def __init__(self, *, space: SearchSpace | None, seed: int | None, screen: bool) -> None:
        super().__init__(space=space, seed=seed, screen=screen, start=START[screen])

    @abstractmethod
    def draft(self, history: History, rng: np.random.Generator, n: int) -> Drafts:
        """*n* drafts of the strategy's own."""

    def propose(self, history: History, rng: np.random.Generator, n: int) -> Drafts:
        space = history.space
        if history.good < self.needed:
            return Drafts(space.draw(rng, n), "too few finished: at random")
        drafts = self.draft(history, rng, n)
        if not self._screen:
            return drafts
        best = history.best(6)
        near = filled(history, history.genes[best[rng.integers(len(best), size=NEAR)]], rng)
        width = 0.1 * 0.05 ** rng.random((NEAR, 1))
        near = mutated(space, near, rng, some(space, near, rng, 0.4), width)
        genes = np.concatenate([drafts.genes, near, space.draw(rng, ELSEWHERE)])
        notes = [drafts.note(k) for k in range(len(drafts.genes))] + [{}] * (NEAR + ELSEWHERE)
        return Drafts(genes, drafts.why, notes)


START = {False: 10, True: 5}
"""Trials before the strategy has its say: a surrogate makes more of few trials."""
