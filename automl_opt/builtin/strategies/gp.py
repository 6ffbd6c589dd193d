"""GP: fit a Gaussian process to the trials and take the point of most expected improvement.

Jones et al. 1998, "Efficient Global Optimization of Expensive Black-Box Functions", in Optuna's
GPSampler: Matérn-5/2 with a lengthscale a parameter, the logarithm of the expected improvement
(Ament et al. 2023, arXiv:2310.20708). It needs torch and takes some 100 ms a trial. Parameters that
exist in only some trials are drawn at random. The kernel is fitted anew for every trial.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Int, SearchSpace, StrategySpec

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def sampler(*, space: SearchSpace | None, seed: int, n_startup_trials: int) -> BaseSampler:
    """Optuna's sampler.

    Args:
        n_startup_trials: trials drawn at random before the first fit.
    """
    from optuna.samplers import GPSampler

    return GPSampler(seed=seed, n_startup_trials=n_startup_trials, warn_independent_sampling=False)


spec = StrategySpec(
    name="gp",
    summary="expected improvement under a Gaussian process, by Optuna",
    paper="Jones et al. 1998, doi:10.1023/A:1008306431147",
    sampler=sampler,
    params={"n_startup_trials": Int(1, 100, default=10)},
)
