"""The sampler behind ``hill_climb``; the formula is told where it is offered."""

from __future__ import annotations

import math
import random
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState


class HillClimb(BaseSampler):
    """Draws every parameter near the best complete trial's."""

    def __init__(self, seed: int, n_startup_trials: int, spread: float) -> None:
        self._random, self._elsewhere = random.Random(seed), RandomSampler(seed=seed)
        self._n_startup_trials, self._spread = n_startup_trials, spread

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}  # every parameter by itself

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        known = [t for t in complete if param_name in t.params]
        if len(complete) < self._n_startup_trials or not known:
            return self._elsewhere.sample_independent(study, trial, param_name, param_distribution)
        sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
        best = min(known, key=lambda t: (sign * t.value, t.number))
        return self._near(best.params[param_name], param_distribution)

    def _near(self, value: Any, distribution: Any) -> Any:
        if isinstance(distribution, CategoricalDistribution):
            choices = distribution.choices
            again = self._random.random() < self._spread or value not in choices
            return self._random.choice(choices) if again else value
        whole = isinstance(distribution, IntDistribution)
        half = distribution.step / 2 if whole else 0.0  # as much room for the ends as for the rest
        low, high = distribution.low - half, distribution.high + half
        scale, back = (math.log, math.exp) if distribution.log else (float, float)
        low, high = scale(low), scale(high)
        moved = scale(value) + self._random.gauss(0, self._spread) * (high - low)
        found = back(reflected(moved, low, high))
        if distribution.step:
            found = distribution.low + distribution.step * round(
                (found - distribution.low) / distribution.step
            )
        found = min(max(found, distribution.low), distribution.high)
        return int(round(found)) if whole else found


def reflected(value: float, low: float, high: float) -> float:
    """*value* thrown back at the ends until it lies within."""
    if high <= low:
        return low
    place = (value - low) % (2 * (high - low))
    return low + min(place, 2 * (high - low) - place)
