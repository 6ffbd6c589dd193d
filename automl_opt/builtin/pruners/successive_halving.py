"""Asynchronous successive halving: at every rung only the best share so far goes on.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning" (ASHA), arXiv:1810.05934,
by Optuna's SuccessiveHalvingPruner. A trial is judged when it arrives at a rung, against those that
were there before it, and never taken up again: the paper pauses it and may promote it later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Int, PrunerSpec

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


def pruner(*, epochs: int, min_resource: int, reduction_factor: int) -> BasePruner:
    """Optuna's pruner.

    Args:
        min_resource: the epochs up to the first rung; every further one takes *reduction_factor*
            times as many.
        reduction_factor: one trial in so many goes on.
    """
    from optuna.pruners import SuccessiveHalvingPruner

    return SuccessiveHalvingPruner(
        min_resource=min(min_resource, epochs), reduction_factor=reduction_factor
    )


spec = PrunerSpec(
    name="successive_halving",
    summary="at every rung only the best share so far goes on",
    paper="Li et al. 2020, arXiv:1810.05934",
    pruner=pruner,
    params={
        "min_resource": Int(1, 50, default=1),
        "reduction_factor": Int(2, 5, default=3),
    },
)
