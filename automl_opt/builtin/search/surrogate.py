"""The surrogate: two Gaussian processes in turn, each of another view of the losses.

They differ in the target. With ``z = 2 (loss - median) / (median - minimum)``, A clips z to ±2.5
and B takes the logarithm of its positive half: to both the unknown is as good as the median trial.
Two turns are A's and one is B's. A fit is used until the trials have grown by 14 %, and starts from
the one before, which lies on the trial that made it: a study that is opened again goes on with the
same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from automl_opt.builtin.search.encoding import MANY, Array, Mask, Space
from automl_opt.builtin.search.gp import OTHERS, Columns, Posterior, Prior, fit
from automl_opt.builtin.search.history import History
from automl_opt.builtin.search.memory import keep_freed

TURNS = ("A", "A", "B")
GROWTH = 1.14
ROWS = 250
"""Trials that a process is given at most: the best half of them and the newest half."""
ITERATIONS = 2500
"""Of a fit, times the trials that it is given: what it may cost."""
BOWL = 3.0
"""Of the trend in a flat space of many parameters: see :class:`Columns`."""
NEAR = 0.6
"""Prior correlation with a point from which on another belongs to its basin."""


@dataclass(frozen=True)
class Surrogate:
    """One view's posterior, running trials believed.

    Args:
        rows: int ``[m]``, the history's rows that it was given.
        means: its ``[m]`` posterior means there.
        note: what the trial has to note so that the next fit starts from this one.
    """

    view: str
    posterior: Posterior
    rows: Any
    means: Array
    note: Mapping[str, Any]

    def target(self, rows: Any) -> float:
        """What is to be improved: the lowest posterior mean of the first 5 of *rows*."""
        at = {int(row): i for i, row in enumerate(self.rows)}
        known = [at[int(row)] for row in rows if int(row) in at][:5]
        if not known:
            return float(self.means.min())
        return float(self.means[known].min())

    def near(self, points: Array, centres: Array) -> Mask:
        """Which of *points* ``[n, width]`` lie in the basin of any of *centres* ``[m, width]``."""
        near: Mask = self.posterior.correlation(points, centres) >= NEAR
        mask: Mask = np.any(near, axis=1)
        return mask


def view_of(history: History) -> str:
    """Whose turn it is."""
    return TURNS[(len(history) + len(history.pending_genes)) % len(TURNS)]


def model(history: History, view: str) -> Surrogate:
    """The surrogate of *history* in one *view*; needs a finished trial that is not bad."""
    keep_freed()
    space = history.space
    rows = _kept(history)
    points, targets = history.cube[rows], _targets(history, view)[rows]
    columns = _columns(space)
    prior = prior_of(space)
    key = f"kernel.{view}"
    last = history.newest(key)
    theta = None if last is None else _theta(last, space, columns, prior)
    note: Mapping[str, Any] = {}
    if last is None or theta is None or len(history) >= GROWTH * last["n"]:
        iterations = min(25, ITERATIONS // len(rows))
        theta = fit(points, targets, columns, prior, theta, iterations)
        note = {key: {"n": len(history), **_noted(theta, space, columns)}}
    posterior = Posterior(theta, points, targets, columns)
    believing = posterior.believing(history.pending_cube)
    return Surrogate(view, believing, rows, posterior.fitted, note)


def prior_of(space: Space) -> Prior:
    """What a *space* alone says of the kernel.

    Lengthscales grow with the parameters, of which products there are p², and ripples that are as
    narrow are narrower in proportion. Above eight parameters, the more there are the less trials
    tell of each: the closer lengthscales stay to the prior, and the more those of numbers are
    alike. Not in a conditional space, of which a trial has a part and whose branches are not
    alike.
    """
    numeric = space.numeric[~space.single]
    parameters = max(1, len(numeric))
    many = 1.0 if space.conditions else max(1.0, parameters / MANY)
    return Prior(
        weight=4.0 / max(1.0, parameters / 4.0),
        weight_sd=many**-0.5,
        alike=tuple(numeric.tolist()),
        common=1.0 - many**-2,
        products=min(0.1, 8.0 / parameters**2),
        finer=(8.0 if space.conditions else max(8.0, 1.6 * parameters)) ** 2,
    )


def _kept(history: History) -> Any:
    if len(history) <= ROWS:
        return np.arange(len(history))
    newest = np.arange(len(history) - ROWS // 2, len(history))
    return np.union1d(history.order[: ROWS // 2], newest)


def _targets(history: History, view: str) -> Array:
    loss = history.loss
    good = loss[~history.bad]
    median, least = np.median(good), good.min()
    scale = (median - least) or (good.max() - least) or 1.0
    z = 2.0 * (loss - median) / scale
    if view == "B":
        return np.where(z > 0, 2.0 * np.log1p(np.maximum(z, 0.0) / 2.0), z)
    clipped: Array = np.clip(z, -2.5, 2.5)
    return clipped


def _columns(space: Space) -> Columns:
    """Those of the cube of *space*: a parameter has one lengthscale, and numbers are warped.

    Not in flat spaces of more than eight parameters: of so many shapes trials tell too little.
    There the trend has a curvature that is common to all.
    """
    used = np.unique(space.groups)
    groups = np.searchsorted(used, space.groups)
    numbers = space.number_columns
    return Columns(groups, numbers[:0], BOWL) if space.many else Columns(groups, numbers)


def _noted(theta: Array, space: Space, columns: Columns) -> dict[str, dict[str, Any]]:
    """The kernel as a trial notes it: in parts, by name."""
    weights, others, shapes = columns.parts(theta)
    weighed = [space.names[j] for j in np.unique(space.groups)]
    warped = [space.names[space.groups[column]] for column in columns.warped]
    return {
        "weights": dict(zip(weighed, weights.tolist(), strict=True)),
        "others": dict(zip(OTHERS, others.tolist(), strict=True)),
        "warps": dict(zip(warped, shapes.T.tolist(), strict=True)),
    }


def _theta(last: Mapping[str, Any], space: Space, columns: Columns, prior: Prior) -> Array:
    """The kernel that *last* notes; what is not in it starts at the prior."""
    parts = _noted(prior.centre(columns), space, columns)
    for part, values in parts.items():
        values.update((name, known) for name, known in last.get(part, {}).items() if name in values)
    weights, others, shapes = (np.array(list(values.values())) for values in parts.values())
    return np.concatenate([weights, others, shapes.T.ravel()])
