"""TPE: draw where good trials are dense and bad ones are not.

Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization", in the multivariate form of
Falkner et al. 2018 by Optuna's TPESampler. Numbers that exist in only some trials are drawn one by
one; running trials count as bad, so that parallel ones keep apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Int, SearchSpace, StrategySpec

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def sampler(
    *, space: SearchSpace | None, seed: int, n_startup_trials: int, n_ei_candidates: int
) -> BaseSampler:
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, n_startup_trials=n_startup_trials, n_ei_candidates=n_ei_candidates)


spec = StrategySpec(
    name="tpe",
    summary="draws where good trials are dense (Tree-structured Parzen Estimator)",
    paper="Bergstra et al. 2011; Watanabe 2023, arXiv:2304.11127",
    sampler=sampler,
    params={
        "n_startup_trials": Int(1, 100, default=10),
        "n_ei_candidates": Int(1, 1000, log=True, default=24),
    },
)
