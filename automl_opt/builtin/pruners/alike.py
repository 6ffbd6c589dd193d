"""A pruner that ranks a trial at given epochs among those that made the same choice."""

from __future__ import annotations

import math
from collections.abc import Set

from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial


class AlikePruner(BasePruner):
    """Ends a trial that is not among the best share at an epoch at which it is judged.

    Args:
        epochs: after which a trial is judged; at no other.
        keep: the share of trials, itself among them, that goes on; always at least one.
        n_startup_trials: others that must have a value at the epoch before it is judged.
        choice: the parameter that trials must agree in to be compared; ``None`` compares all, and
            so does a study without that parameter.
    """

    def __init__(
        self, *, epochs: Set[int], keep: float, n_startup_trials: int, choice: str | None
    ) -> None:
        self._epochs, self._keep = frozenset(epochs), keep
        self._n_startup_trials, self._choice = n_startup_trials, choice

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        epoch = trial.last_step
        if epoch not in self._epochs:
            return False
        maximise = study.direction == StudyDirection.MAXIMIZE
        others = [
            other.intermediate_values[epoch]
            for other in study.get_trials(deepcopy=False)
            if other.number != trial.number
            and epoch in other.intermediate_values
            and self._group(other) == self._group(trial)
        ]
        if len(others) < self._n_startup_trials:
            return False
        value = trial.intermediate_values[epoch]
        if math.isnan(value):
            return True
        better = sum(other > value if maximise else other < value for other in others)
        return better >= max(1, math.floor(self._keep * (len(others) + 1)))

    def _group(self, trial: FrozenTrial) -> object:
        return None if self._choice is None else trial.params.get(self._choice)
