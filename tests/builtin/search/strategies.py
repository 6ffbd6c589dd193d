"""The strategies that stand on the common ground, and one that is nothing but it."""

from __future__ import annotations

from automl_opt.builtin.search import Drafts, HistorySampler, mirror
from automl_opt.plugin.host import load_host


class Plain(HistorySampler):
    """The example of the package's docstring."""

    def propose(self, history, rng, n):
        if not history.good:
            return Drafts(history.space.draw(rng, n), "at random")
        parents = history.genes[history.best(6)]
        picked = parents[rng.integers(len(parents), size=n)]
        picked = history.space.filled(picked, by=history.defaults)
        moved = picked + 0.1 * rng.standard_normal(picked.shape) * history.space.numeric
        return Drafts(mirror(moved, history.space), why="perturbed the best six")


class Screened(Plain):
    def __init__(self, **arguments):
        super().__init__(**arguments, screen=True)


def make(strategy, *, space, seed):
    """A sampler of a class of this file or of a strategy in the catalogue, at its defaults."""
    if isinstance(strategy, type):
        return strategy(space=space, seed=seed)
    sampler = strategy.code(strategy.spec.sampler)
    return sampler(space=space, seed=seed, **strategy.defaults())


def named(strategy):
    return strategy.__name__ if isinstance(strategy, type) else strategy.name


CATALOG = load_host(allow=()).catalog
BASES = [Plain, Screened]
"""The base alone; the conformance kit runs Optuna's suites on every strategy."""
STRATEGIES = [
    s
    for s in CATALOG.components("strategy")
    if isinstance(make(s, space=None, seed=0), HistorySampler)
]
