"""No pruning: every trial runs to its end. No paper: Optuna's NopPruner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import PrunerSpec

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


def pruner(*, epochs: int) -> BasePruner:
    from optuna.pruners import NopPruner

    return NopPruner()


spec = PrunerSpec(
    name="none",
    summary="every trial runs to its end",
    paper="none: nothing is stopped",
    pruner=pruner,
)
