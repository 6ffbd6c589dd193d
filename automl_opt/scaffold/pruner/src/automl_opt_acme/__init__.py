"""Percentile stopping: end a trial whose best value is not among the best *percentile* by then.

Golovin et al. 2017, "Google Vizier", section 3.2.2, stop at the median; here the share that may go
on is searched, by Optuna's PercentilePruner. At 50 it is the median rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from automl_opt.api import Float, Int, PrunerSpec, hookimpl

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


def pruner(
    *, epochs: int, percentile: float, n_startup_trials: int, n_warmup_steps: int
) -> BasePruner:
    """Optuna's pruner.

    Args:
        n_startup_trials: trials that must have finished before any is judged.
        n_warmup_steps: the epochs of a trial in which it is not judged.
    """
    from optuna.pruners import PercentilePruner

    return PercentilePruner(
        percentile,
        n_startup_trials=n_startup_trials,
        n_warmup_steps=n_warmup_steps + 1,  # Optuna counts steps from 0 and we epochs from 1
    )


@hookimpl
def automl_opt_pruners() -> Iterable[PrunerSpec]:
    yield PrunerSpec(
        name="percentile",
        summary="ends a trial that is not among the best of the others",
        paper="Golovin et al. 2017, doi:10.1145/3097983.3098043",
        pruner=pruner,
        generalises={"median": {"percentile": 50.0}},
        params={
            "percentile": Float(5.0, 95.0, default=25.0),
            "n_startup_trials": Int(1, 50, default=5),
            "n_warmup_steps": Int(0, 50, default=0),
        },
    )
