"""How a search begins: the defaults, Sobol points and, of many parameters, one at a time.

Each function gives one point, as snapped genes ``[1, p]``, and the reason that is recorded for it.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import qmc

from automl_opt.builtin.search.encoding import Array, Space
from automl_opt.builtin.search.history import History

STEP = 0.3
"""How far a parameter is moved in its turn: a share of its range."""


def start_points(history: History) -> tuple[Array, str]:
    """The defaults for the first trial of a study, then the points of one scrambled Sobol sequence.

    Sobol 1967 in Owen's scrambling (1998); the scramble is the study's, the place in the sequence
    the trial's, so that many workers and interruptions leave no gap and no repetition.
    """
    if history.index == 0:
        return history.defaults[None], "start: the defaults"
    unit = sobol_unit(len(history.space), history.seed, history.index)
    if history.priors is None:
        return history.space.spread(unit), "start: Sobol"
    return history.priors.spread(unit), "start: Sobol under the priors"


def one_moved(history: History, turn: int) -> tuple[Array, str] | None:
    """The best trial with one parameter moved, or with another choice; in a flat space of many.

    So few trials as there are parameters tell a surrogate of so many little. These tell it of each
    which way is down, and what improves is kept: so COBYLA begins (Powell 1994,
    doi:10.1007/978-94-015-8330-5_4). Which parameter it is in a *turn*, and which way it goes, are
    the study's, so that each has one turn; it turns back where its range ends.

    Returns:
        ``None`` once all had a turn, in other spaces, where the declared priors know better where
        to begin, and while no trial has been good.
    """
    space = history.space
    free = np.flatnonzero(~space.single)
    if not space.many or turn >= len(free) or history.priors is not None or not history.good:
        return None
    rng = np.random.default_rng([history.seed, len(free)])
    gene, way = rng.permutation(free)[turn], rng.uniform(-1.0, 1.0, len(free))[turn]
    genes = space.filled(history.genes[history.order[:1]])
    now = genes[0, gene]
    if space.numeric[gene]:
        step = math.copysign(STEP, way)
        genes[0, gene] = now + step if 0.0 <= now + step <= 1.0 else now - step
    else:
        choices = space.choices[gene]
        genes[0, gene] = (now + 1 + int(abs(way) * (choices - 1))) % choices
    return space.snap(genes), "one parameter moved"


def sobol(space: Space, seed: int, index: int) -> Array:
    """Snapped genes ``[1, p]`` of the point *index* of the scrambled Sobol sequence *seed*."""
    return space.spread(sobol_unit(len(space), seed, index))


def sobol_unit(width: int, seed: int, index: int) -> Array:
    """That point ``[1, width]`` of the unit cube."""
    engine = qmc.Sobol(width, scramble=True, rng=np.random.default_rng([seed, width]))
    if index > 1:
        engine.fast_forward(index - 1)
    unit: Array = engine.random(1)
    return unit
