"""Median stopping: end a trial whose best value is worse than the median of the others by then.

Golovin et al. 2017, "Google Vizier", section 3.2.2, by Optuna's MedianPruner: it compares with the
others' value at the same epoch, where the paper takes their average up to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Int, PrunerSpec

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


def pruner(*, epochs: int, n_startup_trials: int, n_warmup_steps: int) -> BasePruner:
    """Optuna's pruner.

    Args:
        n_startup_trials: trials that must have finished before any is judged.
        n_warmup_steps: the epochs of a trial in which it is not judged.
    """
    from optuna.pruners import MedianPruner

    # Optuna counts steps from 0 and we count epochs from 1
    return MedianPruner(n_startup_trials=n_startup_trials, n_warmup_steps=n_warmup_steps + 1)


spec = PrunerSpec(
    name="median",
    summary="ends a trial that is worse than the median of the others",
    paper="Golovin et al. 2017, doi:10.1145/3097983.3098043",
    pruner=pruner,
    params={
        "n_startup_trials": Int(1, 50, default=5),
        "n_warmup_steps": Int(0, 50, default=0),
    },
)
