"""The default strategy: Gaussian processes in turn, a floor under every branch, other basins.

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
from automl_opt.builtin.search.ascent import ascend
from automl_opt.builtin.search.basins import left_alone
from automl_opt.builtin.search.branches import Branch, short_branch
from automl_opt.builtin.search.encoding import Array, Mask, Space, mirror
from automl_opt.builtin.search.history import History
from automl_opt.builtin.search.sampler import Drafts, HistorySampler
from automl_opt.builtin.search.surrogate import Surrogate, model, view_of


class AutoSampler(HistorySampler):
    """See the module; *polished* is the number of candidates that follow the gradient of log-EI."""

    polished = 8

    def __init__(self, *, space: SearchSpace | None, seed: int | None, start: int = 3) -> None:
        super().__init__(space=space, seed=seed, start=start)

    def propose(self, history: History, rng: np.random.Generator, n: int) -> Drafts:
        if not history.good:
            return Drafts(history.space.draw(rng, n), "at random: nothing was measured yet")
        surrogate = model(history, view_of(history))
        branch = short_branch(history)
        allowed, why = np.ones(len(history), bool), f"surrogate {surrogate.view}"
        banned = history.cube[:0]
        if branch is not None:
            allowed, why = branch.rows(history.genes), f"branch floor, {why}"
        elif len(banned := left_alone(history, surrogate)):
            allowed = ~surrogate.near(history.cube, banned)
            why = f"basin {len(banned) + 1}, {why}"
        ranked = history.order[: history.good]
        parents = ranked[allowed[ranked]]
        if branch is None and not len(parents):
            parents = ranked
        pool = _pool(history, rng, parents, branch)
        drafts = self._acquire(history, surrogate, pool, parents, banned, branch)
        return Drafts(drafts, why, [surrogate.note] * len(drafts), ranked=True)

    def _acquire(
        self,
        history: History,
        surrogate: Surrogate,
        pool: Array,
        parents: Any,
        banned: Array,
        branch: Branch | None,
    ) -> Array:
        """The *pool* and its best, polished, in the order of their gain."""
        space, posterior = history.space, surrogate.posterior
        target = surrogate.target(parents)

        def gain(genes: Array) -> Array:
            points = space.cube(genes)
            gains = posterior.log_ei(points, target) + history.pull(genes)
            gains[surrogate.near(points, banned)] = -np.inf
            if branch is not None:
                gains[~branch.rows(genes)] = -np.inf
            return gains

        gains = gain(pool)
        first = np.argsort(-gains, kind="stable")
        best = pool[first[: self.polished]]
        polished = polish(space, surrogate, best, target)
        rest = first[: 2 * self.polished]  # where the polished ones were tried already
        genes = np.concatenate([polished, pool[rest]])
        gains = np.concatenate([gain(polished), gains[rest]])
        result: Array = genes[np.argsort(-gains, kind="stable")]
        return result


def _pool(history: History, rng: np.random.Generator, parents: Any, branch: Branch | None) -> Array:
    """Candidates: uniform, children, and the best moved by much and by little."""
    space = history.space
    parts = [space.loose(rng, 100) if branch is None else branch.draw(history, rng, 300)]
    if len(parents):
        elite = history.genes[parents]
        parts += [
            children(space, rng, elite, 100),
            perturbed(space, rng, elite[:6], 100, 0.1),
            perturbed(space, rng, elite[:2], 100, 0.02),
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


def polish(space: Space, surrogate: Surrogate, genes: Array, target: float) -> Array:
    """*genes* ``[k, p]`` moved uphill in log-EI along their active numbers, all at once."""
    points = space.cube(genes)
    free: Mask = np.zeros(points.shape, bool)
    for column in np.flatnonzero(space.numeric & ~space.single):
        free[:, space.columns[column].start] = ~np.isnan(genes[:, column])
    if not free.any():
        return genes

    posterior = surrogate.posterior
    points = ascend(lambda at: posterior.log_ei_gradient(at, target), points, free, 20)
    moved = genes.copy()
    for column in np.flatnonzero(space.numeric & ~space.single):
        active = ~np.isnan(genes[:, column])
        moved[active, column] = points[active, space.columns[column].start]
    return space.snap(moved)
