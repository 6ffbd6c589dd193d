"""auto: the default. A Gaussian process that looks at the losses in three ways, in every branch.

It starts at the declared defaults, is guided from the fourth trial on, keeps a floor of trials in
every branch of a conditional space and, once the incumbent is old, looks into other basins too. One
objective. See :mod:`automl_opt.builtin.search.auto`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Int, SearchSpace, StrategySpec

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def sampler(*, space: SearchSpace | None, seed: int | None, start: int) -> BaseSampler:
    from automl_opt.builtin.search.auto import AutoSampler

    return AutoSampler(space=space, seed=seed, start=start)


spec = StrategySpec(
    name="auto",
    summary="models the trials so far and tries where improvement is expected (the default)",
    paper="Jones et al. 1998; Ament et al. 2023, arXiv:2310.20708",
    sampler=sampler,
    priors=True,
    params={"start": Int(1, 100, log=True, default=3)},
)
