"""Simulated annealing whose walk is replayed from the trials."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from automl_opt.api import SearchSpace
from automl_opt.builtin.search import Drafts, History
from automl_opt.builtin.strategies.samplers.drafting import DraftingSampler
from automl_opt.builtin.strategies.samplers.moves import (
    energies,
    filled,
    mutated,
    random_rows,
    some,
)

MARK = 128
"""A replay begins at a multiple of this row, at least one earlier: it never grows long."""


@dataclass(frozen=True)
class Walk:
    """Where the replay ended: the accepted *row*, the *heat* in [0, 1], the reheats so far."""

    row: int
    heat: float
    reheats: int


class SimulatedAnnealing(DraftingSampler):
    """A walker accepts what is better, and what is worse by a chance that falls with the heat.

    Kirkpatrick et al. 1983, doi:10.1126/science.220.4598.671. Unlike there, the energy of a trial
    is the share of trials that are better, so that temperatures mean the same in every problem; the
    step narrows with the heat; after *patience* trials without a new best the walk returns to the
    best and is heated again, to half as much every time. Which trials were accepted is replayed
    from the history with the study's own random numbers.

    Args:
        temperature: at the start, in shares of the trials: at .1 a trial that comes a tenth of all
            ranks later is accepted with a chance of 1/e.
        cooling: the heat is multiplied by it after every trial.
        width: standard deviation of a step at full heat, of the whole range.
        patience: trials without a new best before a reheat.
    """

    def __init__(
        self,
        *,
        space: SearchSpace | None,
        seed: int | None,
        screen: bool,
        temperature: float,
        cooling: float,
        width: float,
        patience: int,
    ) -> None:
        super().__init__(space=space, seed=seed, screen=screen)
        self._temperature, self._cooling = temperature, cooling
        self._width, self._patience = width, patience

    def draft(self, history: History, rng: np.random.Generator, n: int) -> Drafts:
        space = history.space
        walk = self.replay(history)
        if self._screen:  # the surrogate also sees what is near the other good ones
            best = history.best(6)
            rows = np.where(rng.random(n) < 0.5, walk.row, random_rows(rng, best, n))
        else:
            rows = np.full(n, walk.row)
        genes = filled(history, history.genes[rows], rng)
        width = max(0.01, self._width * walk.heat)
        scale = width * np.exp(0.7 * rng.standard_normal((n, 1)))
        moved = mutated(space, genes, rng, some(space, genes, rng, 0.35), scale)
        why = f"a step from trial {int(history.numbers[walk.row])} at heat {walk.heat:.2f}"
        return Drafts(moved, f"{why}, reheated {walk.reheats} times" if walk.reheats else why)

    def replay(self, history: History) -> Walk:
        n = len(history)
        first = max(0, n // MARK - 1) * MARK
        energy, bad = energies(history).tolist(), history.bad.tolist()
        chance = np.random.default_rng([history.seed, 1]).random(n).tolist()
        row = best = int(np.argmin(history.loss[: first + 1]))
        heat = ceiling = self._cooling ** (first / 4) if first else 1.0
        waited = reheats = 0
        for k in range(first, n):
            heat *= self._cooling
            waited += 1
            worse = energy[k] - energy[row]
            if worse <= 0 or (
                not bad[k] and chance[k] < math.exp(-worse / max(1e-9, self._temperature * heat))
            ):
                row = k
            if energy[k] < energy[best]:
                best, waited = k, 0
            if waited >= self._patience:
                ceiling /= 2
                row, heat, waited, reheats = best, max(ceiling, 0.1), 0, reheats + 1
        return Walk(row, heat, reheats)
