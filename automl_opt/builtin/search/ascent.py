"""Many small maximisations at once: projected BFGS in the unit cube, vectorised over the starts.

Nocedal & Wright 2006, "Numerical Optimization", 6.1 (BFGS) and 3.1 (backtracking); bounds as in
Bertsekas 1982, doi:10.1137/0320018: a coordinate that rests on a bound and is pushed against it
stays out of the step. Each row has its own curvature and step length, and where it has arrived it
is evaluated no more.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from automl_opt.builtin.search.encoding import Array, Mask

FIRST_STEP = 0.1
"""Longest coordinate of a row's first step."""
SHRINK = 0.25
"""Of the step length when a step did not rise enough."""
RISE = 1e-4
"""Share of the promised rise that is enough (Armijo's rule)."""


def ascend(
    function: Callable[[Array], tuple[Array, Array]],
    points: Array,
    free: Mask,
    evaluations: int,
    flat: float,
) -> Array:
    """*points* ``[k, d]`` moved uphill, each on its own, in the *free* coordinates within [0, 1].

    Args:
        function: values ``[m]`` and gradients ``[m, d]`` at points ``[m, d]``.
        free: mask ``[k, d]``.
        evaluations: how often *function* is asked at most.
        flat: a row ends with a step that raised it by less, or before one that promises less.
    """
    x = points.copy()
    value, slope = function(x)
    inverse = np.zeros((*x.shape, x.shape[1]))  # of minus the Hessian, roughly
    fresh = np.ones(len(x), bool)
    running: Mask = np.any(free, axis=1)
    length = np.ones(len(x))
    direction = np.zeros_like(x)
    turned = running.copy()
    for _ in range(evaluations - 1):
        if turned.any():
            inside = free & ~(((x <= 0.0) & (slope < 0.0)) | ((x >= 1.0) & (slope > 0.0)))
            pull = np.where(inside, slope, 0.0)
            step = np.where(inside, np.matmul(inverse, pull[:, :, None])[:, :, 0], 0.0)
            steepest = fresh | ((step * pull).sum(axis=1) <= 0.0)
            longest = np.abs(pull).max(axis=1, keepdims=True)
            scaled = pull * (FIRST_STEP / np.maximum(longest, 1e-300))
            step = np.where(steepest[:, None], scaled, step)
            direction = np.where(turned[:, None], step, direction)
            length[turned] = 1.0
        running &= length * (slope * direction).sum(axis=1) >= flat
        if not running.any():
            break
        tried = np.clip(x + length[:, None] * direction, 0.0, 1.0)
        moved = tried - x
        promised = (slope * moved).sum(axis=1)
        found, gradient = value.copy(), slope.copy()
        found[running], gradient[running] = function(tried[running])
        risen: Mask = running & (found >= value + RISE * promised) & (found > value)
        _update(inverse, fresh, moved, np.where(free, slope - gradient, 0.0), risen)
        running &= ~(risen & (found - value < flat))
        x = np.where(risen[:, None], tried, x)
        slope = np.where(risen[:, None], gradient, slope)
        value = np.where(risen, found, value)
        length *= SHRINK
        turned = risen & running
    return x


def _update(inverse: Array, fresh: Mask, s: Array, y: Array, rows: Mask) -> None:
    """BFGS's update of *inverse* ``[k, d, d]`` in the *rows* where the curvature allows it."""
    curvature = (s * y).sum(axis=1)
    rows = rows & (curvature > 1e-10)
    if not rows.any():
        return
    s, y, rho = s[rows], y[rows], 1.0 / curvature[rows]
    old = inverse[rows]
    first = fresh[rows]
    if first.any():
        scale = 1.0 / (rho[first] * (y[first] ** 2).sum(axis=1))
        old[first] = scale[:, None, None] * np.eye(s.shape[1])
        fresh[rows] = False
    hy = np.matmul(old, y[:, :, None])[:, :, 0]
    yhy = (y * hy).sum(axis=1)
    cross = s[:, :, None] * hy[:, None, :]
    old += (rho * (1.0 + rho * yhy))[:, None, None] * (s[:, :, None] * s[:, None, :])
    old -= rho[:, None, None] * (cross + cross.transpose(0, 2, 1))
    inverse[rows] = old
