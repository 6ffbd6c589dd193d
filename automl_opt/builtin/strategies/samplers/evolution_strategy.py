"""An evolution strategy: children around the mean of the best of late, with steps that evolve."""

from __future__ import annotations

import math

import numpy as np

from automl_opt.api import SearchSpace
from automl_opt.builtin.search import Drafts, History, mirror
from automl_opt.builtin.strategies.samplers.drafting import DraftingSampler
from automl_opt.builtin.strategies.samplers.moves import Rows, anew, filled, uniform


class EvolutionStrategy(DraftingSampler):
    """(μ/μ, λ) with self-adaptation of one step size a trial.

    Beyer & Schwefel 2002, "Evolution strategies: a comprehensive introduction", doi:10.1023/
    A:1015059928466: the μ best of the last λ trials are recombined (weighted by rank) into one
    parent; a child's step size is their geometric mean times a log-normal number, and is noted on
    the trial, so that good step sizes live on with their trials. Unlike there, the generation
    slides: its λ trials are the latest, not a closed batch, and *elitism* of the best of all are
    always among them. A number's step also follows the spread of the parents in it. A choice is
    drawn from the parents', now and then from all.

    Args:
        children: λ.
        parents: μ; not above *children*.
        elitism: 0 is the comma strategy.
        sigma: the step size of the trials of the start, of the whole range; of p > 8 parameters
            8 / p of it.
    """

    def __init__(
        self,
        *,
        space: SearchSpace | None,
        seed: int | None,
        screen: bool,
        children: int,
        parents: int,
        elitism: int,
        sigma: float,
    ) -> None:
        super().__init__(space=space, seed=seed, screen=screen)
        self._children, self._parents = children, min(parents, children)
        self._elitism, self._sigma = elitism, sigma

    def draft(self, history: History, rng: np.random.Generator, n: int) -> Drafts:
        space = history.space
        late: Rows = np.arange(max(0, len(history) - self._children), len(history))
        late = np.union1d(late[~history.bad[late]], history.best(self._elitism)).astype(int)
        if not len(late):
            late = history.best(self._parents)
        rows = late[np.argsort(history.loss[late], kind="stable")][: self._parents]
        weight = np.log(len(rows) + 0.5) - np.log(np.arange(1, len(rows) + 1))
        weight /= weight.sum()
        genes = filled(history, history.genes[rows], rng)
        first = self._sigma * min(1.0, 8 / len(space))
        sigma = [history.notes[row].get("sigma", first) for row in rows]
        learning = 1 / math.sqrt(2 * len(space))
        steps = math.exp(float(weight @ np.log(sigma))) * np.exp(
            max(learning, 0.2) * rng.standard_normal(n)
        )
        steps = np.clip(steps, 1e-3, 0.5)
        spread = np.sqrt(weight @ (genes - weight @ genes) ** 2)
        scale = (
            (spread + 0.05) / (spread + 0.05)[space.numeric].mean() if space.numeric.any() else 1
        )
        moved = weight @ genes + steps[:, None] * scale * rng.standard_normal((n, len(space)))
        lots = rng.choice(len(rows), size=moved.shape, p=weight)
        chosen = genes[lots, np.arange(len(space))]
        stray = rng.random(moved.shape) < np.minimum(2.0 * steps[:, None], anew(space))
        chosen = np.where(stray, uniform(space, rng, n), chosen)
        child = mirror(np.where(space.numeric, moved, chosen), space)
        notes = [{"sigma": float(step)} for step in steps]
        return Drafts(child, f"around the mean of the best {len(rows)} of late", notes)
