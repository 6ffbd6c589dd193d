"""Hyperband: successive halving in several brackets, some hasty and some patient.

Li et al. 2018, arXiv:1603.06560, by Optuna's HyperbandPruner, which halves asynchronously and draws
each trial's bracket from its number instead of filling brackets in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Int, PrunerSpec

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


def pruner(*, epochs: int, min_resource: int, reduction_factor: int) -> BasePruner:
    """Optuna's pruner.

    Args:
        min_resource: the epochs after which the hastiest bracket judges first.
        reduction_factor: one trial in so many goes on.
    """
    from optuna.pruners import HyperbandPruner

    return HyperbandPruner(
        # above max_resource Optuna would be left without a bracket
        min_resource=min(min_resource, epochs),
        max_resource=epochs,
        reduction_factor=reduction_factor,
    )


spec = PrunerSpec(
    name="hyperband",
    summary="successive halving in several brackets",
    paper="Li et al. 2018, arXiv:1603.06560",
    pruner=pruner,
    params={
        "min_resource": Int(1, 50, default=1),
        "reduction_factor": Int(2, 5, default=3),
    },
)
