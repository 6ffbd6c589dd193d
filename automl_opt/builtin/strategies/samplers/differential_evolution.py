"""Differential evolution over the best trials of the history, with a memory of what succeeded."""

from __future__ import annotations

import numpy as np

from automl_opt.api import SearchSpace
from automl_opt.builtin.search import Drafts, History, mirror
from automl_opt.builtin.strategies.samplers.drafting import DraftingSampler
from automl_opt.builtin.strategies.samplers.moves import Array, anew, filled, uniform

FIRST = 0.7, 0.5
"""Means of F and CR before anything has succeeded: both papers begin with F = .5, whose steps are
short for the few trials of a study (benchmarks/search/tried.md)."""


class DifferentialEvolution(DraftingSampler):
    """A target moves towards one of the best and along the difference of two others.

    ``current-to-pbest/1/bin`` (Zhang & Sanderson 2009, JADE) with success-history adaptation
    (Tanabe & Fukunaga 2013, SHADE): a child's F is Cauchy and its CR normal around one of the
    memory's means, which are those of the children that beat their target, weighted by how much.
    Unlike the papers there are no generations: the population is the best trials there are, the
    archive those that come after them, and the memory is read from what the trials noted. A choice
    has no difference: it is taken from the better parents, or drawn.

    Args:
        population: the trials that targets and parents are taken from.
        greed: the share of them that counts as the best (*p* of the papers).
        memory: how many means of F and CR are remembered, each of six successes.
    """

    multi_objective = True
    needed = 3

    def __init__(
        self,
        *,
        space: SearchSpace | None,
        seed: int | None,
        screen: bool,
        population: int,
        greed: float,
        memory: int,
    ) -> None:
        super().__init__(space=space, seed=seed, screen=screen)
        self._population, self._greed, self._memory = population, greed, memory

    def draft(self, history: History, rng: np.random.Generator, n: int) -> Drafts:
        space = history.space
        rows = history.best(self._population)
        f, cr = self._factors(history, rng, n)
        target = rng.integers(len(rows), size=n)
        best = rng.integers(max(2, round(self._greed * len(rows))), size=n)
        one = rng.integers(len(rows), size=n)
        archive = history.best(2 * self._population)
        other = archive[rng.integers(len(archive), size=n)]
        x, top, a, b = (
            filled(history, history.genes[picked], rng)
            for picked in (rows[target], rows[best], rows[one], other)
        )
        step = f[:, None]
        mutant = np.where(
            space.numeric, x + step * (top - x) + step * (a - b), _chosen(rng, f, x, top, a, b)
        )
        crossed = rng.random(x.shape) < cr[:, None]
        crossed[np.arange(n), rng.integers(x.shape[1], size=n)] = True
        child = np.where(crossed, mutant, x)
        stray = ~space.numeric & (rng.random(x.shape) < anew(space))
        child = np.where(stray, uniform(space, rng, n), child)
        notes = [
            {"f": float(f[k]), "cr": float(cr[k]), "target": int(history.numbers[rows[target[k]]])}
            for k in range(n)
        ]
        return Drafts(mirror(child, space), "current to p-best", notes)

    def _factors(self, history: History, rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        """F and CR ``[n]`` of the children."""
        means = np.array(self._means(history) or [FIRST])
        f_mean, cr_mean = means[rng.integers(len(means), size=n)].T
        f = f_mean + 0.1 * np.tan(np.pi * (rng.random(n) - 0.5))
        while (f <= 0).any():
            again = f <= 0
            f[again] = f_mean[again] + 0.1 * np.tan(np.pi * (rng.random(int(again.sum())) - 0.5))
        return np.minimum(f, 1.0), np.clip(cr_mean + 0.1 * rng.standard_normal(n), 0.0, 1.0)

    def _means(self, history: History) -> list[tuple[float, float]]:
        """The weighted Lehmer mean of F and mean of CR of each six successes, the newest first."""
        loss = history.loss
        at: dict[int, int] = {}
        wins: list[tuple[float, float, float]] = []
        for row in range(len(history) - 1, -1, -1):
            note = history.notes[row]
            if "f" not in note:
                continue
            if not at:
                at = {int(number): k for k, number in enumerate(history.numbers.tolist())}
            target = at.get(note["target"], row)
            gain = loss[target] - loss[row]
            if gain > 0 and not history.bad[row]:
                wins.append((note["f"], note["cr"], gain))
            if len(wins) == 6 * self._memory:
                break
        means = []
        for first in range(0, len(wins) - 5, 6):
            f, cr, gain = np.array(wins[first : first + 6]).T
            weight = gain / gain.max()
            means.append(
                (
                    float((weight * f * f).sum() / (weight * f).sum()),
                    float(np.average(cr, weights=weight)),
                )
            )
        return means


def _chosen(rng: np.random.Generator, f: Array, x: Array, top: Array, a: Array, b: Array) -> Array:
    """A mutant's choices: with the chance F those of the best, and of *a* where it differs."""
    toward = np.where(rng.random(x.shape) < f[:, None], top, x)
    return np.where((a != b) & (rng.random(x.shape) < f[:, None] / 2), a, toward)
