"""Grid search: every combination of a few values of each parameter once, in random order.

A parameter with up to ``points`` values has all of them, a larger or continuous one ``points`` in
equal steps of its scale, both ends included. Nothing must be declared: the grid is learnt from
what trials were asked, so that a branch of a conditional space is a grid of its own. Values tried
least come first, which spreads a search that ends early; when all was tried it begins again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Int, SearchSpace, StrategySpec

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def sampler(*, space: SearchSpace | None, seed: int, points: int) -> BaseSampler:
    """A sampler that walks the grid.

    Args:
        points: values of a continuous parameter; ``points ** d`` trials for *d* of them.
    """
    from automl_opt.builtin.strategies.samplers.grid import GridWalk

    return GridWalk(seed=seed, points=points)


spec = StrategySpec(
    name="grid",
    summary="every combination of a few values of each parameter",
    paper="none: the oldest of all; see Bergstra & Bengio 2012 for why not",
    sampler=sampler,
    params={"points": Int(1, 100, log=True, default=5)},
)
