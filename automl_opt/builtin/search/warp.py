"""Warped inputs: what changes fast at one end of a range changes evenly once the range is bent.

A learning rate is level over decades and then diverges. One lengthscale cannot say so of a whole
range; a bent range can. Snoek et al. 2014, arXiv:1402.0929, with the distribution function of
Kumaraswamy 1980 (doi:10.1016/0022-1694(80)90036-0) in place of the beta's, whose slopes in both of
its shapes are in closed form: ``w(x) = 1 - (1 - x^a)^b``. With ``a = b = 1`` nothing is bent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automl_opt.builtin.search.encoding import Array

EDGE = 0.01
"""Of a range at either end, which is not bent to the full: the slope there may be infinite."""


@dataclass(frozen=True)
class Slopes:
    """Derivatives of warped numbers, each ``[n, m]``, worked out when asked for.

    Args:
        shapes: ``[2, m]``, log a and log b.
        logs: ``log x``; rest: ``log(1 - x^a)``, of the numbers as they are drawn in from the edges.
    """

    shapes: Array
    logs: Array
    rest: Array

    @property
    def a(self) -> Array:
        """By log a."""
        return self._steep * self.logs

    @property
    def b(self) -> Array:
        """By log b."""
        b = np.exp(self.shapes[1])
        slope: Array = -b * self.rest * np.exp(b * self.rest)
        return slope

    @property
    def x(self) -> Array:
        """By the number."""
        slope: Array = self._steep * np.exp(-self.logs) * (1.0 - 2.0 * EDGE)
        return slope

    @property
    def _steep(self) -> Array:
        """By the logarithm of the number."""
        a, b = np.exp(self.shapes)
        slope: Array = a * b * np.exp(a * self.logs + (b - 1.0) * self.rest)
        return slope


def warp(numbers: Array, shapes: Array) -> tuple[Array, Slopes]:
    """*numbers* ``[n, m]`` within [0, 1], each column warped by its own shapes.

    Args:
        shapes: ``[2, m]``, log a and log b.
    """
    a, b = np.exp(shapes)
    logs = np.log(EDGE + (1.0 - 2.0 * EDGE) * numbers)
    rest = np.log1p(-np.exp(a * logs))
    return 1.0 - np.exp(b * rest), Slopes(shapes, logs, rest)
