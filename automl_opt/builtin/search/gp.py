"""A small Gaussian process in NumPy: Matérn-5/2 on two scales around a trend, fitted by MAP.

Each parameter has one lengthscale. Those of many numbers are alike a priori: trials soon tell how
rough a loss is, and much later in which of twenty numbers it is rougher. The trend is a quadratic
function of the parameters: what is good is often a bowl or a slope, and few trials show that before
they show anything else. Its products of two parameters have a variance of their own, which the data
raise where parameters interact: there are p (p - 1) / 2 of them, and what few trials tell would be
lost among so many. Where there are many parameters, they have a curvature in common. The ranges of
numbers are warped first (:mod:`warp`). What is rough on a scale of its own, as Rastrigin's ripples
are, is neither the process's to follow nor noise: a second, local process has shorter lengthscales,
by a factor that is fitted.

Rasmussen & Williams 2006, "Gaussian Processes for Machine Learning", algorithm 2.1, sections 2.7
(the trend, its coefficients integrated out), 4.2.2 (the quadratic kernel) and 5.4; a variance for
each order of interaction by Duvenaud et al. 2011, arXiv:1112.4394; a global and a local process by
Ba & Joseph 2012, arXiv:1301.2503; log-EI by Ament et al. 2023,
arXiv:2310.20708. The gradients need no tensor of all differences: in the points that of
``Σ_ij S_ij |x_i - x_j|²`` is ``4 (S1 · x - S x)``, and lengthscales and warps have theirs from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special
from scipy.linalg import lapack
from scipy.optimize import OptimizeResult, minimize

from automl_opt.builtin.search.encoding import Array
from automl_opt.builtin.search.warp import Slopes, warp

JITTER = 1e-6
CENTRE = 0.5
"""Of the trend: the middle of a parameter's range."""
OTHERS = ("trend", "products", "signal", "local", "noise", "finer")
"""Of a kernel, beside its weights: variances, and how many times greater the weights 1/ℓ² of the
local process are."""


class Scaled:
    """Points warped and in lengthscales from the middle.

    Args:
        points: ``[n, width]``; its squares and their sums ``[n]`` are kept.
        roots: by how much ``[width]`` they were scaled.
        bends: the warps' slopes.
    """

    def __init__(self, points: Array, roots: Array, bends: Slopes) -> None:
        self.points, self.roots, self.bends = points, roots, bends
        self.squares: Array = points * points
        self.norms: Array = self.squares.sum(axis=1)

    def inner(self, other: Scaled) -> Array:
        """``x · x'`` of all pairs: ``[n, m]``."""
        inner: Array = self.points @ other.points.T
        return inner


@dataclass(frozen=True)
class Columns:
    """What the columns of the points are, and so what a kernel's ``theta`` is.

    ``theta`` has the log weights ``[g]``, the logs of :data:`OTHERS`, and log a ``[m]`` and log b
    ``[m]`` of the warped columns.

    Args:
        groups: int ``[width]``, the weight that a column has.
        warped: int ``[m]``, the columns that are warped.
        bowl: variance of the trend's coefficient of |x|², the curvature that all columns have in
            common, in units of the trend's other variances.
    """

    groups: Any
    warped: Any
    bowl: float = 0.0

    def parts(self, theta: Array) -> tuple[Array, Array, Array]:
        """Log weights ``[g]``, logs of :data:`OTHERS` and the shapes ``[2, m]`` of the warps."""
        shapes = len(theta) - 2 * len(self.warped)
        others = shapes - len(OTHERS)
        return theta[:others], theta[others:shapes], theta[shapes:].reshape(2, -1)

    def scaled(self, points: Array, theta: Array) -> Scaled:
        """*points* ``[n, width]`` warped and in lengthscales from the middle."""
        weights, _, shapes = self.parts(theta)
        roots = np.exp(0.5 * weights[self.groups])
        bent = points - CENTRE
        numbers, bends = warp(points[:, self.warped], shapes)
        bent[:, self.warped] = numbers - CENTRE
        return Scaled(bent * roots, roots, bends)


@dataclass(frozen=True)
class Prior:
    """Normal priors on the logarithms of a kernel's numbers; see :class:`Columns`.

    Args:
        weight: centre of 1/ℓ², where each parameter's range is 1.
        weight_sd: of its logarithm.
        alike: mask ``[g]`` of the parameters whose weights are alike; common: the share of the
            variance of their logarithms that they have in common, below 1.
        trend, trend_sd: of the variance of the trend's coefficients of 1, x and x², at points
            scaled by 1/ℓ.
        products, products_sd: of the variance of its coefficients of products of two parameters.
        signal_sd: about a signal variance of 1.
        local, local_sd: of the variance of the local process.
        noise, noise_sd: of the noise variance.
        finer, finer_sd: of how many times greater the weights of the local process are.
        warp_sd: of the logarithms of the warps' a and b, which are about 1.
    """

    weight: float
    weight_sd: float = 1.0
    alike: tuple[bool, ...] = ()
    common: float = 0.0
    trend: float = 0.1
    trend_sd: float = 1.5
    products: float = 0.1
    products_sd: float = 1.5
    signal_sd: float = 0.7
    local: float = 1e-3
    local_sd: float = 2.0
    noise: float = 1e-3
    noise_sd: float = 1.5
    finer: float = 64.0
    finer_sd: float = 2.0
    warp_sd: float = 0.4

    def centre(self, columns: Columns) -> Array:
        """The likeliest ``theta``."""
        others = [self.trend, self.products, 1.0, self.local, self.noise, self.finer]
        weights, shapes = int(columns.groups.max(initial=-1)) + 1, 2 * len(columns.warped)
        return np.log([self.weight] * weights + others + [1.0] * shapes)

    def penalty(self, theta: Array, columns: Columns) -> tuple[float, Array]:
        """Minus the log density at *theta*, without constants, and its gradient."""
        others = [self.trend_sd, self.products_sd, self.signal_sd, self.local_sd, self.noise_sd]
        others.append(self.finer_sd)
        weights, _, shapes = columns.parts(theta)
        alike = np.flatnonzero(self.alike)
        own = 1.0 - self.common
        deviations = [self.weight_sd] * len(weights) + others + [self.warp_sd] * shapes.size
        variance = np.square(deviations)
        variance[alike] *= own
        apart = theta - self.centre(columns)
        gradient = apart / variance
        shift = self.common * float(apart[alike].sum()) / (own + self.common * len(alike))
        gradient[alike] -= shift / variance[alike]  # Sherman and Morrison's inverse
        return 0.5 * float(apart @ gradient), gradient


class Process:
    """A Matérn-5/2 process between two sets of points.

    Args:
        distances: ``[n, m]``.
        finer: how many times greater its weights are than those that the distances are scaled by.

    Attributes:
        covariance: ``[n, m]``.
    """

    def __init__(self, distances: Array, variance: float = 1.0, finer: float = 1.0) -> None:
        self._roots = distances * math.sqrt(5.0 * finer)
        self._decay = np.exp(-self._roots)
        self._steepness = -5.0 / 6.0 * variance * finer
        covariance = self._roots / 3.0  # in place from here on: this is where the time goes
        covariance += 1.0
        covariance *= self._roots
        covariance += 1.0
        covariance *= self._decay
        covariance *= variance
        self.covariance: Array = covariance

    @property
    def slope(self) -> Array:
        """Of the covariance by the squared distances: ``[n, m]``."""
        slope: Array = self._roots + 1.0
        slope *= self._decay
        slope *= self._steepness
        return slope


def trend_covariance(
    one: Scaled, other: Scaled, inner: Array, variance: float, products: float, bowl: float
) -> Array:
    """Of the trend, between two sets of points with products *inner*: ``[n, m]``.

    ``variance · (1 + 2 x · x' + Σ x_d² x'_d²) + products · ((x · x')² - Σ x_d² x'_d²) + bowl · |x|²
    |x'|²``: with equal variances and no bowl the quadratic kernel.
    """
    covariance = products * inner
    covariance += 2.0 * variance
    covariance *= inner
    covariance += ((variance - products) * one.squares) @ other.squares.T
    covariance += variance
    if bowl:
        covariance += np.outer(bowl * one.norms, other.norms)
    return covariance


def distances(one: Scaled, other: Scaled, inner: Array) -> Array:
    """``[n, m]`` between two sets of points with products *inner*."""
    squared = -2.0 * inner
    squared += one.norms[:, None]
    squared += other.norms
    np.maximum(squared, 0.0, out=squared)
    return np.sqrt(squared, out=squared)


def inverse(matrix: Array) -> tuple[Array, float]:
    """Inverse and log determinant of a positive definite matrix.

    Raises:
        np.linalg.LinAlgError: it is not.
    """
    factor, failed = lapack.dpotrf(matrix, lower=1, clean=1)
    if failed:
        raise np.linalg.LinAlgError(f"not positive definite at row {failed}")
    log_determinant = 2.0 * float(np.log(np.diagonal(factor)).sum())
    lower, _ = lapack.dpotri(factor, lower=1)  # dpotrf left zeros above the diagonal
    result: Array = lower + lower.T
    result[np.diag_indices_from(result)] *= 0.5
    return result, log_determinant


def negative_log_posterior(
    theta: Array, points: Array, targets: Array, columns: Columns, prior: Prior
) -> tuple[float, Array]:
    """Minus log (likelihood × prior), without constants, and its gradient in *theta*.

    Args:
        theta: see :class:`Columns`.
        points: ``[n, width]``; targets: ``[n]``, around 0.
    """
    weights, others, _ = columns.parts(theta)
    trend, products, signal, local, noise, finer = np.exp(others).tolist()
    bowl = columns.bowl * trend
    at = columns.scaled(points, theta)
    inner = at.inner(at)
    apart = distances(at, at, inner)
    smooth, rough = Process(apart, signal), Process(apart, local, finer)
    covariance = trend_covariance(at, at, inner, trend, products, bowl)
    covariance += smooth.covariance
    covariance += rough.covariance
    covariance[np.diag_indices_from(covariance)] += noise + JITTER
    try:
        inverted, log_determinant = inverse(covariance)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(theta)
    alpha = inverted @ targets
    inverted -= np.outer(alpha, alpha)
    steeper = rough.slope
    by_finer = float(np.vdot(inverted, apart * apart * steeper))
    weighted = inverted * (smooth.slope + steeper)
    scaled = at.points
    towards = inverted @ scaled
    bowls = scaled * (inverted @ at.squares)
    across = (inverted * inner) @ scaled - bowls
    # half the gradient in the scaled points, and from it that in all that they are made with
    by_point = weighted.sum(axis=1)[:, None] * scaled - weighted @ scaled
    by_point += trend * (towards + bowls) + products * across
    rounds = inverted @ at.norms
    by_point += bowl * rounds[:, None] * scaled
    by_column = np.einsum("ij,ij->j", scaled, by_point)
    by_weight = np.bincount(columns.groups, by_column, minlength=len(weights))
    by_number = 2.0 * (by_point * at.roots)[:, columns.warped]
    of_trend = inverted.sum() + 2.0 * np.vdot(scaled, towards) + np.vdot(scaled, bowls)
    by_others = 0.5 * np.array(
        [
            trend * of_trend + bowl * float(at.norms @ rounds),
            products * np.vdot(scaled, across),
            np.vdot(inverted, smooth.covariance),
            np.vdot(inverted, rough.covariance),
            noise * np.trace(inverted),
            by_finer,
        ]
    )
    by_a, by_b = (np.einsum("ij,ij->j", by_number, by) for by in (at.bends.a, at.bends.b))
    gradient = np.concatenate([by_weight, by_others, by_a, by_b])
    penalty, slopes = prior.penalty(theta, columns)
    value = 0.5 * (float(targets @ alpha) + log_determinant) + penalty
    return value, gradient + slopes


def fit(
    points: Array,
    targets: Array,
    columns: Columns,
    prior: Prior,
    start: Array | None = None,
    iterations: int = 25,
    flat: float = 0.02,
) -> Array:
    """The MAP of *theta* (see :func:`negative_log_posterior`), searched from *start*.

    Args:
        iterations: how many at most.
        flat: one that raises the log posterior by less is the last.
    """
    centre = prior.centre(columns)
    reached = math.inf

    def stop(intermediate_result: OptimizeResult) -> None:
        nonlocal reached
        before, reached = reached, float(intermediate_result.fun)
        if before - reached < flat:
            raise StopIteration

    found = minimize(
        negative_log_posterior,
        centre if start is None else start,
        args=(points, targets, columns, prior),
        jac=True,
        method="L-BFGS-B",
        bounds=[(c - 12.0, c + 8.0) for c in centre],
        options={"maxiter": iterations, "maxcor": 10},
        callback=stop,
    )
    theta: Array = found.x
    return theta if np.isfinite(theta).all() else centre


class Posterior:
    """What the process says at new points; far from all data it says 0.

    Args:
        theta: see :class:`Columns`.
        points, targets: ``[n, width]`` and ``[n]``.
    """

    def __init__(self, theta: Array, points: Array, targets: Array, columns: Columns) -> None:
        self.theta, self.points, self.targets, self.columns = theta, points, targets, columns
        others = np.exp(columns.parts(theta)[1]).tolist()
        self.trend, self.products, self.signal, self.local, self.noise, self.finer = others
        self.bowl = columns.bowl * self.trend
        self._at = columns.scaled(points, theta)
        covariance, _ = self._covariance(self._at)
        covariance[np.diag_indices_from(covariance)] += self.noise + JITTER
        self.inverted, _ = inverse(covariance)
        self.alpha = self.inverted @ targets

    @property
    def fitted(self) -> Array:
        """Posterior means ``[n]`` at its own points: ``K α = y - (σ² + jitter) α``."""
        means: Array = self.targets - (self.noise + JITTER) * self.alpha
        return means

    def believing(self, points: Array) -> Posterior:
        """The posterior once *points* have turned out as it expects: its lie about running trials.

        The Kriging believer of Ginsbourger et al. 2010.
        """
        if not len(points):
            return self
        return Posterior(
            self.theta,
            np.concatenate([self.points, points]),
            np.concatenate([self.targets, self.means(points)]),
            self.columns,
        )

    def correlation(self, one: Array, other: Array) -> Array:
        """Prior correlation ``[n, m]`` of two sets of points, of the global process."""
        at, others = (self.columns.scaled(points, self.theta) for points in (one, other))
        return Process(distances(at, others, at.inner(others))).covariance

    def _covariance(self, at: Scaled) -> tuple[Array, tuple[Process, Process, Array]]:
        """Prior covariance ``[n, m]`` with the data; the two processes, and ``x · x'``."""
        inner = at.inner(self._at)
        apart = distances(at, self._at, inner)
        smooth, rough = Process(apart, self.signal), Process(apart, self.local, self.finer)
        covariance = trend_covariance(at, self._at, inner, self.trend, self.products, self.bowl)
        covariance += smooth.covariance
        covariance += rough.covariance
        return covariance, (smooth, rough, inner)

    def _moments(self, at: Scaled, covariance: Array) -> tuple[Array, Array, Array]:
        """Posterior means and standard deviations ``[n]``, and ``covariance @ inverted``."""
        solved = covariance @ self.inverted
        fourth = np.einsum("ij,ij->i", at.squares, at.squares)
        prior = self.signal + self.local + self.trend * (1.0 + 2.0 * at.norms + fourth)
        prior += self.products * (at.norms**2 - fourth) + self.bowl * at.norms**2
        variance = np.maximum(prior - np.einsum("ij,ij->i", solved, covariance), 1e-12)
        return covariance @ self.alpha, np.sqrt(variance), solved

    def means(self, points: Array) -> Array:
        """Posterior means ``[n]``."""
        covariance, _ = self._covariance(self.columns.scaled(points, self.theta))
        means: Array = covariance @ self.alpha
        return means

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Posterior means and standard deviations ``[n]`` of the noiseless function."""
        at = self.columns.scaled(points, self.theta)
        covariance, _ = self._covariance(at)
        means, deviations, _ = self._moments(at, covariance)
        return means, deviations

    def log_ei(self, points: Array, target: float) -> Array:
        """Log expected improvement ``[n]`` below *target*."""
        means, deviations = self.predict(points)
        log_h, _ = log_improvement((target - means) / deviations)
        return np.log(deviations) + log_h

    def log_ei_gradient(self, points: Array, target: float) -> tuple[Array, Array]:
        """Log expected improvement ``[n]`` and its gradient ``[n, width]``."""
        at = self.columns.scaled(points, self.theta)
        covariance, (smooth, rough, inner) = self._covariance(at)
        means, deviations, solved = self._moments(at, covariance)
        z = (target - means) / deviations
        log_h, ratio = log_improvement(z)
        rise = -ratio / deviations  # of the gain, by the mean and by half the variance
        spread = (1.0 - ratio * z) / deviations**2
        weights = rise[:, None] * self.alpha - spread[:, None] * solved
        w = weights * (smooth.slope + rough.slope)
        towards = w.sum(axis=1)[:, None] * at.points - w @ self._at.points
        apart = self.trend - self.products
        across = ((self.trend + self.products * inner) * weights) @ self._at.points
        across += apart * at.points * (weights @ self._at.squares)
        across += self.bowl * (weights @ self._at.norms)[:, None] * at.points
        rounder = self.products + self.bowl
        bowls = self.trend + rounder * at.norms[:, None] + apart * at.squares
        own = spread[:, None] * at.points * bowls
        gradient: Array = 2.0 * at.roots * (towards + across + own)
        gradient[:, self.columns.warped] *= at.bends.x
        return np.log(deviations) + log_h, gradient


def log_improvement(z: Array) -> tuple[Array, Array]:
    """``log(φ(z) + z Φ(z))`` without underflow, and its derivative ``Φ/(φ + z Φ)``."""
    log_phi = -0.5 * z * z - 0.5 * math.log(2.0 * math.pi)
    log_cdf = special.log_ndtr(z)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        high = np.log(np.exp(log_phi) + z * np.exp(log_cdf))
        mills = math.sqrt(math.pi / 2.0) * special.erfcx(-z / math.sqrt(2.0))
        low = log_phi + np.log1p(z * mills)
        tail = log_phi - 2.0 * np.log(np.abs(z))
    log_h = np.where(z > -1.0, high, np.where((z > -1e3) & np.isfinite(low), low, tail))
    return log_h, np.exp(np.minimum(log_cdf - log_h, 700.0))
