"""Random search: every trial drawn from the ranges, whatever the others found.

Bergstra & Bengio 2012, JMLR 13:281, by Optuna's RandomSampler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import SearchSpace, StrategySpec

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def sampler(*, space: SearchSpace | None, seed: int) -> BaseSampler:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


spec = StrategySpec(
    name="random",
    summary="independent draws from the ranges",
    paper="Bergstra & Bengio 2012, jmlr.org/papers/v13/bergstra12a.html",
    sampler=sampler,
)
