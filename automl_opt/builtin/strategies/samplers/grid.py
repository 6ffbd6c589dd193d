"""A walk over a grid that is not known beforehand, from the trials alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class GridWalk(BaseSampler):
    """Takes, parameter by parameter, a value that leads to an untried point, tried least so far.

    Where all points of a branch were tried, they are counted from the start. Trials off the grid do
    not count; failed and pruned ones do, and so do running ones, as far as they were asked.
    """

    def __init__(self, *, seed: int | None, points: int) -> None:
        self._seed = int(np.random.PCG64().random_raw()) if seed is None else seed
        self._points = points

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

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
        values = grid(param_distribution, self._points)
        alike = [
            other
            for other in study.get_trials(deepcopy=False)
            if other.number != trial.number
            and other.state != TrialState.WAITING
            and _agree(other, trial)
            and param_name in other.params
        ]
        by_value: dict[Any, list[FrozenTrial]] = {value: [] for value in values}
        for other in alike:
            if (value := other.params[param_name]) in by_value:
                by_value[value].append(other)
        depth = len(trial.params) + 1
        untried = [v for v in values if not self._exhausted(by_value[v], depth)] or values
        least = min(len(by_value[value]) for value in untried)
        rarest = [value for value in untried if len(by_value[value]) == least]
        rng = np.random.default_rng([self._seed, trial.number, len(trial.params)])
        return rarest[rng.integers(len(rarest))]

    def _exhausted(self, trials: Sequence[FrozenTrial], depth: int) -> bool:
        """Whether *trials*, all of those at a point of the grid, tried all that lies below it.

        Args:
            depth: how many parameters the point has.
        """
        if not trials:
            return False
        longer = [trial for trial in trials if len(trial.params) > depth]
        if not longer:
            return True
        name, distribution = list(longer[0].distributions.items())[depth]
        by_value: dict[Any, list[FrozenTrial]] = {}
        for trial in longer:
            by_value.setdefault(trial.params.get(name), []).append(trial)
        return all(
            self._exhausted(by_value.get(value, []), depth + 1)
            for value in grid(distribution, self._points)
        )


def grid(distribution: BaseDistribution, points: int) -> list[Any]:
    """The values of *distribution* in the grid, in rising order; a choice's in its own."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    low, high, step = distribution.low, distribution.high, distribution.step
    if low == high:
        return [low]
    if isinstance(distribution, IntDistribution):
        if distribution.log:
            scaled = [math.exp(x) for x in _even(math.log(low), math.log(high), points)]
            wanted = scaled if points < high - low + 1 else range(low, high + 1)
            return sorted({min(max(round(x), low), high) for x in wanted})
        return [low + k * distribution.step for k in _some((high - low) // step + 1, points)]
    if step is not None:
        return [min(low + k * step, high) for k in _some(round((high - low) / step) + 1, points)]
    if distribution.log:
        even = [math.exp(x) for x in _even(math.log(low), math.log(high), points)]
    else:
        even = _even(low, high, points)
    return [min(max(x, low), high) for x in even]


def _even(low: float, high: float, points: int) -> list[float]:
    """*points* from *low* to *high*; a single one is in the middle."""
    if points == 1:
        return [low / 2 + high / 2]
    shares = [k / (points - 1) for k in range(points)]
    return [low * (1 - share) + high * share for share in shares]


def _some(count: int, points: int) -> list[int]:
    """Up to *points* of the numbers below *count*, evenly spread."""
    if count <= points:
        return list(range(count))
    return [round(x) for x in _even(0, count - 1, points)]


def _agree(one: FrozenTrial, other: FrozenTrial) -> bool:
    """Whether *one* has all that *other* was given so far."""
    return all(
        name in one.params and one.params[name] == value for name, value in other.params.items()
    )
