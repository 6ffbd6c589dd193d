"""CMA-ES: a normal distribution that moves to the better half of a generation, and takes its shape.

Hansen & Ostermeier 2001, "Completely Derandomized Self-Adaptation in Evolution Strategies", by
Optuna's CmaEsSampler over the package ``cmaes``. Choices, and what exists in only some
trials, are drawn at random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Int, OneOf, SearchSpace, StrategySpec

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def sampler(
    *, space: SearchSpace | None, seed: int, n_startup_trials: int, popsize: int, lr_adapt: bool
) -> BaseSampler:
    """Optuna's sampler.

    Args:
        n_startup_trials: trials drawn at random before the first generation.
        popsize: trials of a generation; 0 for the paper's ``4 + ⌊3 ln d⌋``.
        lr_adapt: adapt the learning rates to noise (Nomura et al. 2023, arXiv:2304.03473).
    """
    import warnings

    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import CmaEsSampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of lr_adapt, which is chosen
        return CmaEsSampler(
            seed=seed,
            n_startup_trials=n_startup_trials,
            popsize=popsize or None,
            lr_adapt=lr_adapt,
            warn_independent_sampling=False,
        )


spec = StrategySpec(
    name="cmaes",
    summary="a normal distribution that learns its shape (covariance matrix adaptation)",
    paper="Hansen & Ostermeier 2001, doi:10.1162/106365601750190398",
    sampler=sampler,
    params={
        "n_startup_trials": Int(1, 100, default=1),
        "popsize": Int(0, 200, default=0),
        "lr_adapt": OneOf((False, True)),
    },
)
