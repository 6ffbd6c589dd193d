"""Hill climbing: change the best trial so far a little, as a (1+1) evolution strategy does.

Rechenberg 1973, "Evolutionsstrategie". Every number is the best trial's plus a normal step of
*spread* times its range, on its own scale and reflected at its ends; a choice is the best trial's,
or with probability *spread* any. Unlike there, the step has one size throughout instead of
following the one-fifth rule: a sampler is made anew for every trial and knows its history alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from automl_opt.api import Float, Int, SearchSpace, StrategySpec, hookimpl

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def sampler(
    *, space: SearchSpace | None, seed: int, n_startup_trials: int, spread: float
) -> BaseSampler:
    """An Optuna sampler; what has no complete example yet is drawn from its range.

    Args:
        n_startup_trials: complete trials that are drawn at random before the climb begins.
    """
    # Optuna is imported here, so that listing plugins stays instant
    from automl_opt_acme.climb import HillClimb

    return HillClimb(seed, n_startup_trials, spread)


@hookimpl
def automl_opt_strategies() -> Iterable[StrategySpec]:
    yield StrategySpec(
        name="hill_climb",
        summary="the best trial so far, changed a little",
        paper="Rechenberg 1973, Evolutionsstrategie",
        sampler=sampler,
        params={
            "n_startup_trials": Int(1, 50, default=5),
            "spread": Float(0.01, 0.5, log=True, default=0.1),
        },
    )
