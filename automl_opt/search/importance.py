"""Which parameters decide whether a trial is among the top ones, arm by arm."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

SHUFFLES = 39
FEWEST = 10
"""Complete trials below which no importance is computed."""


@dataclass(frozen=True, kw_only=True)
class Importance:
    """A parameter's share.

    Args:
        share: of the importance of all; they add up to 1.
        told: whether it is above what 19 of 20 shuffles of the values give any parameter.
    """

    name: str
    share: float
    told: bool


def importances(
    storage: BaseStorage, study_name: str, *, shuffles: int = SHUFFLES, seed: int = 0
) -> list[Importance]:
    """PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255) of the complete trials of one arm.

    By Optuna's evaluator, with conditional parameters judged where they exist. What shuffled values
    give is computed beside it, for with few trials something always seems to matter.

    Returns:
        The largest first; nothing for fewer than 10 complete trials, or values that are all equal.
    """
    study = optuna.load_study(study_name=study_name, storage=storage)
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = np.array([trial.value for trial in trials], float)
    if len(trials) < FEWEST or len(set(values)) == 1:
        return []
    direction = study.direction
    found = _spread(trials, values, direction)
    rng = np.random.default_rng(seed)
    largest = [
        max(_spread(trials, rng.permutation(values), direction).values(), default=0.0)
        for _ in range(shuffles)
    ]
    limit = float(np.quantile(largest, 0.95))
    total = sum(found.values()) or 1.0
    return [
        Importance(name=name, share=spread / total, told=spread > limit)
        for name, spread in sorted(found.items(), key=lambda pair: -pair[1])
    ]


def _spread(
    trials: list[FrozenTrial], values: np.ndarray, direction: optuna.study.StudyDirection
) -> dict[str, float]:
    """By parameter, before they are made to add up to 1: only so can shuffles be compared."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction=direction)
        study.add_trials(
            [
                create_trial(params=t.params, distributions=t.distributions, value=float(value))
                for t, value in zip(trials, values, strict=True)
            ]
        )
        with warnings.catch_warnings():
            # of parameters that few trials have: the shuffles say what such numbers are worth
            warnings.simplefilter("ignore", UserWarning)
            return PedAnovaImportanceEvaluator().evaluate(study)
    finally:
        optuna.logging.set_verbosity(verbosity)
