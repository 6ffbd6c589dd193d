"""A genetic algorithm whose generations overlap: every trial is a child of the trials before it."""

from __future__ import annotations

import numpy as np

from automl_opt.api import SearchSpace
from automl_opt.builtin.search import Drafts, History, mirror
from automl_opt.builtin.strategies.samplers.drafting import DraftingSampler
from automl_opt.builtin.strategies.samplers.moves import Array, Mask, Rows, filled, mutated, some


class Genetic(DraftingSampler):
    """Two parents are selected, their genes crossed, and a few of the child's mutated.

    Goldberg 1989, "Genetic Algorithms in Search, Optimization, and Machine Learning", in the
    steady-state form of Syswerda 1991; simulated binary crossover: Deb & Agrawal 1995; blend
    crossover: Eshelman & Schaffer 1993. Choices are always crossed uniformly. Several objectives
    are selected by non-dominated fronts (Deb et al. 2002).

    Args:
        population: the trials that may be parents.
        elitism: how many of them are the best of all; the others are the best of the latest
            ``2 · population``.
        selection: ``tournament`` of two, ``rank`` (linear), or ``truncation`` (the better half).
        crossover: ``uniform``, ``one_point``, ``blend`` (α = .5) or ``sbx`` (η = 5).
        crossover_rate: the chance of a second parent.
        mutation_rate: how many genes of a child are mutated on average.
        mutation_width: standard deviation of a mutation, of the whole range.
    """

    multi_objective = True
    needed = 2

    def __init__(
        self,
        *,
        space: SearchSpace | None,
        seed: int | None,
        screen: bool,
        population: int,
        elitism: int,
        selection: str,
        crossover: str,
        crossover_rate: float,
        mutation_rate: float,
        mutation_width: float,
    ) -> None:
        super().__init__(space=space, seed=seed, screen=screen)
        self._population, self._elitism = population, elitism
        self._selection, self._crossover = selection, crossover
        self._crossover_rate = crossover_rate
        self._mutation_rate, self._mutation_width = mutation_rate, mutation_width

    def draft(self, history: History, rng: np.random.Generator, n: int) -> Drafts:
        space = history.space
        rows = self._parents(history)
        one = filled(history, history.genes[rows[self._selected(rng, len(rows), n)]], rng)
        other = filled(history, history.genes[rows[self._selected(rng, len(rows), n)]], rng)
        child = self._crossed(space.numeric, rng, one, other)
        alone = rng.random((n, 1)) >= self._crossover_rate
        child = mirror(np.where(alone, one, child), space)
        chance = min(1.0, self._mutation_rate / len(space))
        same = (child == one).all(axis=1, keepdims=True)
        mask = some(space, child, rng, chance) & (same | (rng.random(child.shape) < 0.8))
        width = self._mutation_width * np.exp(rng.standard_normal((n, 1)))
        return Drafts(mutated(space, child, rng, mask, width), f"{self._crossover} crossover")

    def _parents(self, history: History) -> Rows:
        """Rows of the population, best first."""
        elite = history.best(self._elitism)
        latest = history.order[history.order >= len(history) - 2 * self._population]
        latest = latest[~history.bad[latest] & ~np.isin(latest, elite)]
        rows = np.concatenate([elite, latest[: max(0, self._population - len(elite))]])
        return rows[np.argsort(history.loss[rows], kind="stable")].astype(int)

    def _selected(self, rng: np.random.Generator, size: int, n: int) -> Rows:
        if self._selection == "tournament":
            return rng.integers(size, size=(n, 2)).min(axis=1)
        if self._selection == "rank":
            weight = np.arange(size, 0, -1, dtype=float)
            return rng.choice(size, size=n, p=weight / weight.sum())
        return rng.integers((size + 1) // 2, size=n)

    def _crossed(self, numeric: Mask, rng: np.random.Generator, one: Array, other: Array) -> Array:
        n, p = one.shape
        swapped = np.where(rng.random((n, p)) < 0.5, one, other)
        if self._crossover == "one_point":
            return np.where(np.arange(p) < rng.integers(1, p + 1, size=(n, 1)), one, other)
        if self._crossover == "blend":
            share = -0.5 + 2 * rng.random((n, p))
            return np.where(numeric, one + share * (other - one), swapped)
        if self._crossover == "sbx":
            lot = rng.random((n, p))
            spread = np.where(lot < 0.5, 2 * lot, 0.5 / np.maximum(1 - lot, 1e-12)) ** (1 / 6)
            middle, half = (one + other) / 2, (other - one) / 2
            side = np.where(rng.random((n, p)) < 0.5, -1.0, 1.0)
            return np.where(numeric, middle + side * spread * half, swapped)
        return swapped
