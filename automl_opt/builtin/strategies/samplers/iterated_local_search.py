"""Iterated local search: climb, and when there is no way up, jump and climb from there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automl_opt.api import SearchSpace
from automl_opt.builtin.search import Drafts, History
from automl_opt.builtin.strategies.samplers.drafting import DraftingSampler
from automl_opt.builtin.strategies.samplers.moves import energies, filled, mutated, some, uniform

MARK = 128
"""A replay begins at a multiple of this row, at least one earlier: it never grows long."""


@dataclass
class Climb:
    """The best row of this climb, the row it jumped from, and the *width* of its steps."""

    row: int
    home: int
    width: float
    waited: int = 0

    jump: bool = False
    """The climb is over: the next trial jumps."""


class IteratedLocalSearch(DraftingSampler):
    """A hill climb with steps that adapt; where it ends, a jump from the better of two optima.

    Lourenço et al. 2003, "Iterated Local Search", doi:10.1007/0-306-48056-5_11. The climb is a
    (1+1) evolution strategy with the one-fifth rule (Rechenberg 1973): a step that gains widens the
    next ones by 1.5, others narrow them so that one gain in five keeps the width. It ends after
    *patience* trials without a gain. Its optimum is accepted as the next home if it is better, or
    worse by no more than *tolerance* of all ranks; the jump draws some genes of the home anew.
    The climbs are replayed from the history; a step that another worker began before the last gain
    was known says nothing about steps from there. A pruned step gains if what it last reported was
    no worse than the best value of a complete trial.

    Args:
        width: standard deviation of the first steps of a climb, of the whole range.
        strength: the share of genes that a jump draws anew, at least one.
    """

    def __init__(
        self,
        *,
        space: SearchSpace | None,
        seed: int | None,
        screen: bool,
        width: float,
        patience: int,
        strength: float,
        tolerance: float,
    ) -> None:
        super().__init__(space=space, seed=seed, screen=screen)
        self._width, self._patience = width, patience
        self._strength, self._tolerance = strength, tolerance

    def draft(self, history: History, rng: np.random.Generator, n: int) -> Drafts:
        space = history.space
        climb = self.replay(history)
        row = climb.home if climb.jump else climb.row
        number = int(history.numbers[row])
        genes = filled(history, np.repeat(history.genes[[row]], n, axis=0), rng)
        if climb.jump:
            mask = some(space, genes, rng, self._strength)
            moved = np.where(mask, uniform(space, rng, n), genes)
            return Drafts(moved, f"a jump from trial {number}", [{"jump": True}] * n)
        mask = some(space, genes, rng, max(0.3, 1 / len(space)))
        width = climb.width * np.exp(0.5 * rng.standard_normal((n, 1)))
        why = f"a step of {climb.width:.3f} from trial {number}"
        return Drafts(mutated(space, genes, rng, mask, width), why, [{"from": number}] * n)

    def replay(self, history: History) -> Climb:
        n = len(history)
        first = max(0, n // MARK - 1) * MARK
        loss, bad = history.loss.tolist(), history.bad.tolist()
        pruned = (~history.complete & ~history.bad).tolist()
        energy = energies(history).tolist()
        best = int(np.argmin(history.loss[: first + 1]))
        climb = Climb(best, best, self._width)
        at = {number: k for k, number in enumerate(history.numbers.tolist())}
        narrower = 1.5**-0.25
        for k in range(first, n):
            level = pruned[k] and loss[k] == loss[climb.row]
            gains = level or loss[k] < loss[climb.row]
            if "jump" in history.notes[k]:
                if climb.jump and not bad[k]:
                    climb = Climb(k, climb.home, self._width)
                    continue
                if not gains:
                    continue  # a jump that came late is no step of this climb
            if gains:
                climb = Climb(k, climb.home, min(0.5, climb.width * 1.5))
                continue
            if at.get(history.notes[k].get("from"), k) < climb.row:
                continue  # begun before the last gain was known
            climb.waited += 1
            climb.width = max(1e-3, climb.width * narrower)
            if climb.waited >= self._patience and not climb.jump:
                climb.jump = True
                if energy[climb.row] - energy[climb.home] <= self._tolerance:
                    climb.home = climb.row
        return climb
