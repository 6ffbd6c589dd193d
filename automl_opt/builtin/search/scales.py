"""Scales: where the values of parameters lie between the ends of their ranges.

What Optuna stores is an *internal* value: a number as it is, a category's index. A *gene* is a
number's place on its scale, from 0 to 1, and a category's index.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Array: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


class Scales:
    """Those of *distributions*, of which each has a column.

    Attributes:
        numeric: mask ``[p]`` of the numbers.
        choices: int ``[p]``, how many choices a category has; 0 for a number.
        single: mask ``[p]`` of what has one value.
        stepped: mask ``[p]`` of the numbers on a grid.
        log: mask ``[p]`` of the logarithmic ones.
        extent: ``[p]``, half of the range on its scale: the whole may overflow.
    """

    def __init__(self, distributions: Sequence[BaseDistribution]) -> None:
        rows = [_scale(d) for d in distributions]
        low, high, step, start, end, log = (np.array([r[i] for r in rows], float) for i in range(6))
        self._low, self._high, self._step = low, high, np.where(step > 0, step, 1.0)
        self._start, self._end = start, end
        self.extent = end / 2 - start / 2
        self.extent[self.extent <= 0] = 1.0
        self.log: Mask = log.astype(bool)
        self.stepped: Mask = step > 0
        self.single: Mask = np.array([d.single() for d in distributions], bool)
        self.choices = np.array(
            [
                len(d.choices) if isinstance(d, CategoricalDistribution) else 0
                for d in distributions
            ],
            int,
        )
        self.numeric: Mask = self.choices == 0

    def genes(self, internal: Array) -> Array:
        """Genes ``[n, p]`` of internal values ``[n, p]``; outside of the range its nearest end."""
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            scaled = np.where(self.log, np.log(np.where(self.log, internal, 1.0)), internal)
            unit = (scaled / 2 - self._start / 2) / self.extent
        unit = np.where(self.single, 0.5, np.clip(unit, 0.0, 1.0))
        genes = np.where(self.numeric, unit, internal)
        genes[np.isnan(internal)] = np.nan
        return genes

    def internal(self, genes: Array) -> Array:
        """The legal internal values ``[n, p]`` nearest to *genes*; NaN stays NaN."""
        unit = np.clip(genes, 0.0, 1.0)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = self._start * (1 - unit) + self._end * unit
            value = np.where(self.log, np.exp(np.where(self.log, scaled, 0.0)), scaled)
            stepped = self._low + self._step * np.round((value - self._low) / self._step)
        value = np.clip(np.where(self.stepped, stepped, value), self._low, self._high)
        return np.where(self.numeric, value, np.clip(np.round(genes), 0, self.choices - 1))


def _scale(distribution: BaseDistribution) -> tuple[float, float, float, float, float, bool]:
    """``low, high, step, start, end, log``.

    *start* and *end* are on the scale of the range; a step's values are the middles of bins.
    """
    if isinstance(distribution, CategoricalDistribution):
        return 0.0, len(distribution.choices) - 1.0, 0.0, 0.0, 1.0, False
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    low, high = float(distribution.low), float(distribution.high)
    step = float(distribution.step or 0.0)
    start, end = low - step / 2, high + step / 2
    if distribution.log:
        return low, high, step, math.log(start), math.log(end), True
    return low, high, step, start, end, False
