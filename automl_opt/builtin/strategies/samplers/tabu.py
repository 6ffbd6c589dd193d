"""Tabu search: always go to the best neighbour, and not back to what was just left."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from automl_opt.api import SearchSpace
from automl_opt.builtin.search import Drafts, History
from automl_opt.builtin.strategies.samplers.drafting import DraftingSampler
from automl_opt.builtin.strategies.samplers.moves import Array, Mask, filled, mutated, some

FLIPS = 0.7
"""Chance that a neighbour differs in a certain category, in shares of that for a number."""
MARK = 8
"""A replay begins at a multiple of so many rounds, at least that many back."""


@dataclass
class Round:
    """Where the search stands: the *row*, and what was left, ``(values [p], tabu mask [p])``."""

    row: int
    left: list[tuple[Array, Mask]] = field(default_factory=list)
    waited: int = 0


class Tabu(DraftingSampler):
    """Rounds of neighbours; the best of a round is where the next one starts, better or not.

    Glover 1989, "Tabu Search – Part I", doi:10.1287/ijoc.1.3.190, for numbers as in Chelouah &
    Siarry 2000: a neighbour differs in a gene or two, sooner in numbers than in categories, and
    the values that a move gave up are tabu in those genes for *tenure* rounds, numbers with all
    that is within *radius*. Unlike there, a round has the trials that ended in it, whoever proposed
    them; a tabu move is not evaluated, so that there is nothing to aspire to; and after *patience*
    rounds without a new best the search returns to the best trial, the list emptied
    (intensification).

    Args:
        neighbours: trials of a round.
        width: typical standard deviation of a step, of the whole range; steps of a third and of
            three times that are common too.
    """

    def __init__(
        self,
        *,
        space: SearchSpace | None,
        seed: int | None,
        screen: bool,
        neighbours: int,
        tenure: int,
        radius: float,
        width: float,
        patience: int,
    ) -> None:
        super().__init__(space=space, seed=seed, screen=screen)
        self._neighbours, self._tenure, self._radius = neighbours, tenure, radius
        self._width, self._patience = width, patience

    def draft(self, history: History, rng: np.random.Generator, n: int) -> Drafts:
        space = history.space
        at = self.replay(history)
        genes = filled(history, np.repeat(history.genes[[at.row]], 3 * n, axis=0), rng)
        mask = some(space, genes, rng, 1 / len(space), flips=FLIPS)
        width = self._width * np.exp(rng.standard_normal((3 * n, 1)))
        moved = mutated(space, genes, rng, mask, width)
        tabu = self._tabu(space.numeric, moved, abs(moved - genes) > 1e-9, at)
        order = np.argsort(tabu, kind="stable")[:n]  # tabu ones serve where there is nothing else
        why = f"a neighbour of trial {int(history.numbers[at.row])}, {len(at.left)} moves tabu"
        return Drafts(moved[order], why)

    def _tabu(self, numeric: Mask, moved: Array, changed: Mask, at: Round) -> Mask:
        found = np.zeros(len(moved), bool)
        for values, mask in at.left:
            with np.errstate(invalid="ignore"):  # NaN, a gene that did not exist, is not tabu
                near = np.abs(moved - values) <= np.where(numeric, self._radius, 0.0)
            found |= (near & mask & changed).any(axis=1)
        return found

    def replay(self, history: History) -> Round:
        rounds = len(history) // self._neighbours
        first = max(0, rounds // MARK - 1) * MARK
        loss, bad, genes = history.loss, history.bad, history.genes
        begun = max(1, first * self._neighbours)
        best = int(np.argmin(loss[:begun]))
        at = Round(best)
        for k in range(first, rounds):
            rows = np.arange(k * self._neighbours, (k + 1) * self._neighbours)
            rows = rows[~bad[rows]]
            if not len(rows):
                continue
            row = int(rows[np.argmin(loss[rows])])
            left = genes[at.row].copy()
            at.left = [*at.left, (left, left != genes[row])][-self._tenure :]
            at.row = row
            at.waited += 1
            if loss[row] < loss[best]:
                best, at.waited = row, 0
            if at.waited >= self._patience:
                at = Round(best)
        return at
