"""Simulated quantum annealing: replicas of a walker, coupled more and more as a field fades."""

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

MARK = 96
"""A replay begins at a multiple of this row, at least one earlier: it never grows long."""


@dataclass(frozen=True)
class Replicas:
    """The row that each replica holds, in the order of the ring, and the *field* left in (0, 1]."""

    rows: list[int]
    field: float


class QuantumAnnealing(DraftingSampler):
    """Path-integral Monte Carlo over a ring of replicas with a decreasing transverse field.

    Santoro et al. 2002, doi:10.1126/science.1068774; Martoňák et al. 2002, doi:10.1103/
    PhysRevB.66.094203. Replica k is pulled to its two neighbours by a spring of strength
    ``J = -(P·T / 2) · ln tanh(Γ / (P·T))``, which grows as the field Γ fades: wide apart at first,
    the replicas explore, and they meet in the end. Replicas take turns; a trial is accepted by
    Metropolis' rule on ``energy / P + J · (squared distances to the neighbours)``. Unlike there,
    the energy of a trial is the share of trials that are better, the distance is that of the
    encoded points (mean square a column), Γ fades by *cooling* a trial, and with it the width of
    steps and the chance that a category flips (it drives the flips there), and a proposal may take
    genes of a neighbour, which is how a barrier is tunnelled through, or of the best three.
    Acceptance is replayed from the history with the study's own random numbers.

    Args:
        replicas: P.
        temperature: T, in shares of the trials; it stays.
        field: Γ at the start.
        cooling: Γ is multiplied by it after every trial.
        width: standard deviation of a step at full field, of the whole range.
    """

    def __init__(
        self,
        *,
        space: SearchSpace | None,
        seed: int | None,
        screen: bool,
        replicas: int,
        temperature: float,
        field: float,
        cooling: float,
        width: float,
    ) -> None:
        super().__init__(space=space, seed=seed, screen=screen)
        self._replicas, self._temperature = replicas, temperature
        self._field, self._cooling, self._width = field, cooling, width

    def draft(self, history: History, rng: np.random.Generator, n: int) -> Drafts:
        space = history.space
        ring = self.replay(history)
        mine = history.index % self._replicas
        turns = rng.integers(self._replicas, size=n) if self._screen else np.full(n, mine)
        side = np.where(rng.random(n) < 0.5, 1, -1)
        rows = np.array(ring.rows)
        genes = filled(history, history.genes[rows[turns]], rng)
        neighbour = filled(history, history.genes[rows[(turns + side) % self._replicas]], rng)
        tunnel = rng.random((n, 1)) < 0.5
        taken = np.where(tunnel & (rng.random(genes.shape) < 0.5), neighbour, genes)
        if len(best := history.best(3)):  # a replica that is stuck is seldom the best place to be
            near = rng.random((n, 1)) < 0.25
            taken = np.where(
                near, filled(history, history.genes[random_rows(rng, best, n)], rng), taken
            )
        width = max(0.015, self._width * ring.field) * np.exp(0.7 * rng.standard_normal((n, 1)))
        mask = some(space, taken, rng, 0.35, flips=ring.field)
        moved = mutated(space, taken, rng, mask, width)
        notes = [{"replica": int(turn)} for turn in turns]
        return Drafts(moved, f"replica {mine} at field {ring.field:.2f}", notes)

    def replay(self, history: History) -> Replicas:
        n, size, width = len(history), self._replicas, max(1, history.space.width)
        first = max(0, n // MARK - 1) * MARK
        energy, bad = energies(history).tolist(), history.bad.tolist()
        chance = np.random.default_rng([history.seed, 3]).random(n).tolist()
        before = np.argsort(history.loss[: max(1, first)], kind="stable")
        rows = [int(before[k % len(before)]) for k in range(size)]
        heat = size * self._temperature
        known = sorted({*rows, *range(first, n)})
        at = {row: i for i, row in enumerate(known)}
        product = history.cube[known] @ history.cube[known].T
        for k in range(first, n):
            if bad[k]:
                continue
            turn = history.notes[k].get("replica", k) % size
            held = rows[turn]
            gamma = max(1e-3, self._field * self._cooling**k)
            spring = -heat / 2 * math.log(math.tanh(gamma / heat))
            new, old = product[at[k]], product[at[held]]
            apart = 0.0  # |new - side|² - |old - side|² over both sides
            for side in (rows[turn - 1], rows[(turn + 1) % size]):
                apart += new[at[k]] - old[at[held]] - 2.0 * (new[at[side]] - old[at[side]])
            change = (energy[k] - energy[held]) / size + spring * float(apart) / width
            if change <= 0 or chance[k] < math.exp(-change / self._temperature):
                rows[turn] = k
        return Replicas(rows, max(1e-3, self._cooling**n))
