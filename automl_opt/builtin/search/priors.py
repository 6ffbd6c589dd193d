"""Expert priors: where the declared space expects the best values, and how much that still counts.

As in πBO (Hvarfner et al. 2022, arXiv:2204.11051) a prior is a factor on the acquisition whose
exponent falls with the number of trials. Unlike there it is, for each parameter, a normal bell cut
at the ends of the range and mixed with a uniform density: the expert may be wrong, and then the
penalty is bounded. The mode costs nothing, so that a branch with priors is not less likely than
one without.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from automl_opt.api import OneOf, SearchSpace
from automl_opt.builtin.search.encoding import Array, Space

PULL = 3.0
"""Weight of the log prior after one trial: β of πBO, whose authors take a tenth of the budget."""
DOUBT = 0.35
"""Share of the uniform density in a prior."""


@dataclass(frozen=True)
class Priors:
    """The priors of the parameters of a *space*, on the scale of its genes.

    Args:
        centre, deviation: ``[p]``; NaN where a parameter has none.
    """

    space: Space
    centre: Array
    deviation: Array

    @cached_property
    def _ends(self) -> tuple[Array, Array]:
        """Probability ``[p]`` of the whole bell below 0, and in [0, 1]."""
        low, high = (special.ndtr((end - self.centre) / self.deviation) for end in (0.0, 1.0))
        return low, high - low

    def log_density(self, genes: Array) -> Array:
        """Log densities ``[n]`` of *genes*, 0 at the mode; what does not exist adds nothing."""
        _, inside = self._ends
        top = (1 - DOUBT) / (math.sqrt(2 * math.pi) * self.deviation * inside)
        bell = np.exp(-0.5 * ((genes - self.centre) / self.deviation) ** 2)
        return np.nan_to_num(np.log((DOUBT + top * bell) / (DOUBT + top))).sum(axis=1)

    def spread(self, unit: Array) -> Array:
        """Snapped genes of uniform or low-discrepancy numbers ``[n, p]`` in [0, 1)."""
        below, inside = self._ends
        bell = below + inside * unit / (1 - DOUBT)
        expected = self.centre + self.deviation * special.ndtri(np.minimum(bell, below + inside))
        doubted = (unit - (1 - DOUBT)) / DOUBT
        believed = np.where(unit < 1 - DOUBT, np.clip(expected, 0.0, 1.0), doubted)
        return self.space.spread(np.where(np.isnan(self.centre), unit, believed))

    def draw(self, rng: np.random.Generator, n: int) -> Array:
        """Snapped genes ``[n, p]`` from the priors; uniform where there is none."""
        return self.spread(rng.random((n, len(self.space))))


def priors_of(space: Space, declared: SearchSpace | None) -> Priors | None:
    """The priors that are *declared*; ``None`` where there are none."""
    if declared is None:
        return None
    found = {
        entry.name: entry.param.prior
        for entry in declared.entries
        if not isinstance(entry.param, OneOf) and entry.param.prior
    }
    if not found:
        return None
    deviation = space.deviation({name: prior.spread for name, prior in found.items()})
    centre = space.row({name: prior.center for name, prior in found.items()})
    return Priors(space, np.where(np.isnan(deviation), np.nan, centre), deviation)
