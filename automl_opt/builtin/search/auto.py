"""The default strategy: the surrogate itself proposes, whatever it has to choose from.

The pieces are known: expected improvement (Jones et al. 1998), log-EI (Ament et al. 2023), children
by current-to-pbest differential evolution (Zhang & Sanderson 2009) as candidates. What differs from
a textbook Bayesian optimisation was measured (benchmarks/search): three trials of start, two views
of the losses in turn (:mod:`surrogate`), branches that are served (:mod:`branches`), and trials
away from an incumbent that has grown old (:mod:`basins`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from automl_opt.api import SearchSpace
from automl_opt.builtin.search.acquisition import acquisition
from automl_opt.builtin.search.branches import Branch
from automl_opt.builtin.search.encoding import Array, Mask, Space, mirror
from automl_opt.builtin.search.history import History
from automl_opt.builtin.search.sampler import Drafts, HistorySampler

CLIMBING = 8
"""Candidates that follow the gradient of log-EI."""
POOL = 32_000
"""Candidates times trials, roughly: what the covariances between them cost."""
KEPT = 24
"""Candidates that are proposed, best first: the later ones serve where the first was tried."""


class AutoSampler(HistorySampler):
    """See the module."""

    modelled = True

    def __init__(self, *, space: SearchSpace | None, seed: int | None, start: int = 3) -> None:
        super().__init__(space=space, seed=seed, start=start)

    def propose(self, history: History, rng: np.random.Generator, n: int) -> Drafts:
        if not history.good:
            return Drafts(history.space.draw(rng, n), "at random: nothing was measured yet")
        chooser = acquisition(history)
        pool = _pool(history, rng, chooser.parents, chooser.branch)
        genes = chooser.best_first(pool, CLIMBING)[0][:KEPT]
        notes = [chooser.surrogate.note] * len(genes)
        return Drafts(genes, chooser.why, notes, ranked=True)


def _pool(history: History, rng: np.random.Generator, parents: Any, branch: Branch | None) -> Array:
    """Candidates: uniform, children, and the best moved by much and by little.

    A hundred each; after eighty trials fewer, so that a trial costs no more.
    """
    space = history.space
    each = int(np.clip(POOL / 4 / len(history), 40, 100))
    parts = [space.loose(rng, each) if branch is None else branch.draw(history, rng, 3 * each)]
    if len(parents):
        elite = history.genes[parents]
        parts += [
            children(space, rng, elite, each),
            perturbed(space, rng, elite[:6], each, 0.1),
            perturbed(space, rng, elite[:2], each, 0.02),
        ]
    if history.priors is not None:
        parts.append(history.priors.draw(rng, 50))
    return space.snap(np.concatenate(parts))


def children(space: Space, rng: np.random.Generator, ranked: Array, n: int) -> Array:
    """Children ``[n, p]`` of current-to-pbest/1 with binomial crossover, not snapped.

    Args:
        ranked: genes ``[m, p]``, best first; the parents are the best dozen.
    """
    dozen = ranked[:12]
    size = len(dozen)
    neutral = space.loose(rng, n)

    def some(k: int) -> Array:
        return space.filled(dozen[rng.integers(k, size=n)], by=neutral)

    current, best = some(size), some(max(1, size // 4))
    one, other = some(size), some(size)
    f = rng.uniform(0.3, 0.9, (n, 1))
    moved = mirror(current + f * (best - current) + f * (one - other), space)
    donor = np.where(rng.random((n, len(space))) < 0.5, best, one)  # a category takes a parent's
    moved = np.where(space.numeric, moved, donor)
    crossed = _some_genes(rng, moved, rng.uniform(0.3, 1.0, (n, 1)))
    return np.where(crossed, moved, current)


def perturbed(space: Space, rng: np.random.Generator, elite: Array, n: int, width: float) -> Array:
    """Neighbours ``[n, p]`` of the *elite*, not snapped; half of them move in all their numbers."""
    drawn = space.loose(rng, n)
    genes = space.filled(elite[rng.integers(len(elite), size=n)], by=drawn)
    moved = mirror(genes + width * rng.standard_normal(genes.shape), space)
    other = rng.random(genes.shape) < min(0.5, 2.0 * width)
    moved = np.where(space.numeric, moved, np.where(other, drawn, genes))
    moves = _some_genes(rng, genes, rng.uniform(1.0 / len(space), 1.0, (n, 1)))
    moves[: n // 2] = True
    return np.where(moves, moved, genes)


def _some_genes(rng: np.random.Generator, genes: Array, share: Array) -> Mask:
    """A mask of about *share* ``[n, 1]`` of the *genes* ``[n, p]``, at least one in a row."""
    n, p = genes.shape
    mask: Mask = rng.random((n, p)) < share
    mask[np.arange(n), rng.integers(p, size=n)] = True
    return mask
