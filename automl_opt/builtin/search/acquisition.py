"""The acquisition: what a trial is for, and which of many candidates does it best.

A trial serves a branch that is short of trials (:mod:`branches`), or a basin apart from an old
incumbent (:mod:`basins`), or else the whole space. Candidates are ranked by log expected
improvement (Jones et al. 1998; Ament et al. 2023, arXiv:2310.20708), to which the declared priors
add, and the best of them follow its gradient first. Where a space is conditional or other trials
are running, what is to be improved on is drawn anew below the best: some trials explore more than
others, and those that run at the same time are apart. These are the targets of Jones 2001,
doi:10.1023/A:1012771025575, at random as is the confidence bound of Berk et al. 2020,
arXiv:2006.04296.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from automl_opt.builtin.search.ascent import ascend
from automl_opt.builtin.search.basins import left_alone
from automl_opt.builtin.search.branches import Branch, short_branch
from automl_opt.builtin.search.encoding import Array, Mask
from automl_opt.builtin.search.history import History
from automl_opt.builtin.search.surrogate import Surrogate, model, view_of

STEPS = 2400
"""Evaluations of the gradient at most, times the trials: what an ascent may cost; 12 to 20."""
MARGIN = 0.5
"""Mean of what is drawn: how far below the best; the median trial is 2 above it."""
FLAT = 1e-3
"""A step that raises a candidate's log-EI by less is its last."""


@dataclass(frozen=True)
class Acquisition:
    """What one trial is chosen by; see :func:`acquisition`.

    Args:
        branch: the only one that is searched, or ``None``.
        banned: the best of the basins that are not searched: rows ``[m, width]``.
        margin: what is no improvement yet, in the surrogate's unit.
        parents: rows of the history that are neither bad nor outside of what is searched, best
            first.
    """

    history: History
    surrogate: Surrogate
    branch: Branch | None
    banned: Array
    margin: float
    parents: Any

    @property
    def why(self) -> str:
        """What the trial is for."""
        view = f"surrogate {self.surrogate.view}"
        if self.branch is not None:
            return f"branch floor, {view}"
        return f"basin {len(self.banned) + 1}, {view}" if len(self.banned) else view

    def best_first(self, genes: Array, climbing: int) -> tuple[Array, Any]:
        """Snapped *genes* ``[k, p]``, and the best *climbing* of them moved uphill as well.

        Returns:
            Genes ``[k + climbing, p]``, the one to try first coming first, and the index of the
            given one that each was made of: int ``[k + climbing]``.
        """
        target = self.surrogate.target(self.parents) - self.margin
        gains = self._gains(genes, target)
        first = np.argsort(-gains, kind="stable")[:climbing]
        climbed = self._climbed(genes[first], target)
        gains = np.concatenate([self._gains(climbed, target), gains])
        sources = np.concatenate([first, np.arange(len(genes))])
        order = np.argsort(-gains, kind="stable")
        return np.concatenate([climbed, genes])[order], sources[order]

    def _gains(self, genes: Array, target: float) -> Array:
        points = self.history.space.cube(genes)
        gains = self.surrogate.posterior.log_ei(points, target) + self.history.pull(genes)
        gains[self.surrogate.near(points, self.banned)] = -np.inf
        if self.branch is not None:
            gains[~self.branch.rows(genes)] = -np.inf
        return gains

    def _climbed(self, genes: Array, target: float) -> Array:
        """*genes* moved uphill in log-EI along their active numbers."""
        space = self.history.space
        points = space.cube(genes)
        free: Mask = np.zeros(points.shape, bool)
        free[:, space.number_columns] = ~np.isnan(genes[:, space.numbers])
        if not free.any():
            return genes
        posterior = self.surrogate.posterior
        steps = int(np.clip(STEPS // len(self.history), 12, 20))
        points = ascend(lambda at: posterior.log_ei_gradient(at, target), points, free, steps, FLAT)
        climbed = np.where(free, points, np.nan)[:, space.number_columns]
        moved = genes.copy()
        moved[:, space.numbers] = climbed
        return space.snap(moved)


def acquisition(history: History) -> Acquisition:
    """Of the *history*'s next trial; needs a finished trial that is not bad."""
    surrogate = model(history, view_of(history))
    parents, banned = history.order[: history.good], history.cube[:0]
    branch = short_branch(history)
    margin = 0.0
    if branch is not None:
        parents = parents[branch.rows(history.genes[parents])]
    else:
        banned = left_alone(history, surrogate)
        outside = parents[~surrogate.near(history.cube[parents], banned)]
        parents = outside if len(outside) else parents
        if history.space.conditions or len(history.pending_genes):
            margin = MARGIN * np.random.default_rng([history.seed, history.index]).exponential()
    return Acquisition(history, surrogate, branch, banned, margin, parents)
