"""A small Gaussian process in NumPy: Matérn-5/2 on two scales around a trend, fitted by MAP.

Each parameter has one lengthscale. Those of many numbers are alike a priori: trials soon tell how
rough a loss is, and much later in which of twenty numbers it is rougher. The trend is a quadratic
function of the parameters: what is good is often a bowl or a slope, and few trials show that before
they show anything else. Its products of two parameters have a variance of their own, which the data
raise where parameters interact: there are p (p - 1) / 2 of them, and what few trials tell would be
lost among so many. What is rough on a scale of its own, as Rastrigin's ripples are, is neither the
process's to follow nor noise: a second, local process has shorter lengthscales, by a factor that is
fitted.

Rasmussen & Williams 2006, "Gaussian Processes for Machine Learning", algorithm 2.1, sections 2.7
(the trend, its coefficients integrated out), 4.2.2 (the quadratic kernel) and 5.4; a variance for
each order of interaction by Duvenaud et al. 2011, arXiv:1112.4394; a global and a local process by
Ba & Joseph 2012, arXiv:1301.2503; log-EI by Ament et al. 2023,
arXiv:2310.20708. The gradients need no tensor of all differences: with
``S = M ∘ slope``,
``Σ_ij S_ij (x_id - x_jd)² = 2 (S1 · x_d² - x_d · S x_d)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special
from scipy.linalg import lapack
from scipy.optimize import minimize

from automl_opt.builtin.search.encoding import Array

ROOT5 = math.sqrt(5.0)
JITTER = 1e-6
CENTRE = 0.5
"""Of the trend: the middle of a parameter's range."""
OTHERS = ("trend", "products", "signal", "local", "noise", "finer")
"""What ``theta`` ends with the logarithms of: variances, and how many times greater the weights
1/ℓ² of the local process are."""


@dataclass(frozen=True)
class Prior:
    """Normal priors on the logarithms of a kernel's numbers.

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

    def centre(self, groups: int) -> Array:
        """``[groups + 6]``: log weights, then the logs of :data:`OTHERS`."""
        rest = [self.trend, self.products, 1.0, self.local, self.noise, self.finer]
        return np.log([self.weight] * groups + rest)

    def penalty(self, theta: Array) -> tuple[float, Array]:
        """Minus the log density at *theta*, without constants, and its gradient."""
        groups = len(theta) - len(OTHERS)
        rest = [self.trend_sd, self.products_sd, self.signal_sd, self.local_sd, self.noise_sd]
        rest.append(self.finer_sd)
        alike = np.flatnonzero(self.alike)
        own = 1.0 - self.common
        variance = np.array([self.weight_sd] * groups + rest) ** 2
        variance[alike] *= own
        apart = theta - self.centre(groups)
        gradient = apart / variance
        shift = self.common * float(apart[alike].sum()) / (own + self.common * len(alike))
        gradient[alike] -= shift / variance[alike]  # Sherman and Morrison's inverse
        return 0.5 * float(apart @ gradient), gradient


def matern(squared: Array) -> tuple[Array, Array]:
    """Matérn-5/2 correlation at squared distances, and its slope with respect to them."""
    slope = np.sqrt(squared)  # in place from here on: this is where the time goes
    slope *= ROOT5
    decay = np.exp(-slope)
    slope += 1.0
    slope *= decay
    correlation = squared * decay
    correlation *= 5.0 / 3.0
    correlation += slope
    slope *= -5.0 / 6.0
    return correlation, slope


def process(squared: Array, variance: float, finer: float = 1.0) -> tuple[Array, Array]:
    """A process's covariance at squared distances, and its slope with respect to them.

    Args:
        finer: how many times greater its weights are than those that the distances are scaled by.
    """
    covariance, slope = matern(finer * squared)
    covariance *= variance
    slope *= variance * finer
    return covariance, slope


def trend_covariance(
    one: Array, other: Array, variance: float, products: float
) -> tuple[Array, Array]:
    """Of the trend, between the rows of two scaled sets of points, and ``x · x'``: ``[n, m]``.

    ``variance · (1 + 2 x · x' + Σ x_d² x'_d²) + products · ((x · x')² - Σ x_d² x'_d²)``: with equal
    variances the quadratic kernel.
    """
    inner = one @ other.T
    covariance = products * inner
    covariance += 2.0 * variance
    covariance *= inner
    covariance += ((variance - products) * one**2) @ (other**2).T
    covariance += variance
    return covariance, inner


def squared_distances(one: Array, other: Array) -> Array:
    """``[n, m]`` between the rows of two already scaled sets of points."""
    squared = one @ (-2.0 * other.T)
    squared += np.einsum("ij,ij->i", one, one)[:, None]
    squared += np.einsum("ij,ij->i", other, other)
    return np.maximum(squared, 0.0, out=squared)


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
    theta: Array, points: Array, targets: Array, groups: Any, prior: Prior
) -> tuple[float, Array]:
    """Minus log (likelihood × prior), without constants, and its gradient in *theta*.

    Args:
        theta: ``[g + 6]``, see :meth:`Prior.centre`.
        points: ``[n, width]``; targets: ``[n]``, around 0.
        groups: int ``[width]``, which weight a column has.
    """
    count = len(theta) - len(OTHERS)
    trend, products, signal, local, noise, finer = np.exp(theta[count:]).tolist()
    scaled = (points - CENTRE) * np.exp(0.5 * theta[groups])
    squared = squared_distances(scaled, scaled)
    smooth, slope = process(squared, signal)
    rough, steeper = process(squared, local, finer)
    covariance, inner = trend_covariance(scaled, scaled, trend, products)
    covariance += smooth
    covariance += rough
    covariance[np.diag_indices_from(covariance)] += noise + JITTER
    try:
        inverted, log_determinant = inverse(covariance)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(theta)
    alpha = inverted @ targets
    inverted -= np.outer(alpha, alpha)
    by_finer = float(np.vdot(inverted, squared * steeper))
    slope += steeper
    weighted = inverted * slope
    squares = scaled**2
    by_column = weighted.sum(axis=1) @ squares - np.einsum("ij,ij->j", scaled, weighted @ scaled)
    weighted = inverted * inner
    of_slopes = np.einsum("ij,ij->j", scaled, inverted @ scaled)
    of_bowls = np.einsum("ij,ij->j", squares, inverted @ squares)
    of_products = np.einsum("ij,ij->j", scaled, weighted @ scaled) - of_bowls
    by_column += trend * (of_slopes + of_bowls) + products * of_products
    of_trend = float(inverted.sum() + 2.0 * of_slopes.sum() + of_bowls.sum())
    gradient = np.empty_like(theta)
    gradient[:count] = np.bincount(groups, by_column, minlength=count)
    by_others = [
        trend * of_trend,
        products * float(of_products.sum()),
        float(np.vdot(inverted, smooth)),
        float(np.vdot(inverted, rough)),
        noise * float(np.trace(inverted)),
        by_finer,
    ]
    gradient[count:] = 0.5 * np.array(by_others)
    penalty, slopes = prior.penalty(theta)
    value = 0.5 * (float(targets @ alpha) + log_determinant) + penalty
    return value, gradient + slopes


def fit(
    points: Array,
    targets: Array,
    groups: Any,
    prior: Prior,
    start: Array | None = None,
    iterations: int = 25,
) -> Array:
    """The MAP of *theta* (see :func:`negative_log_posterior`), searched from *start*."""
    count = int(groups.max()) + 1 if len(groups) else 0
    centre = prior.centre(count)
    found = minimize(
        negative_log_posterior,
        centre if start is None else start,
        args=(points, targets, groups, prior),
        jac=True,
        method="L-BFGS-B",
        bounds=[(c - 12.0, c + 8.0) for c in centre],
        options={"maxiter": iterations, "maxcor": 10},
    )
    theta: Array = found.x
    return theta if np.isfinite(theta).all() else centre


class Posterior:
    """What the process says at new points; far from all data it says 0.

    Args:
        theta: see :func:`negative_log_posterior`.
        points, targets: ``[n, width]`` and ``[n]``; groups: int ``[width]``.
    """

    def __init__(self, theta: Array, points: Array, targets: Array, groups: Any) -> None:
        self.theta, self.points, self.targets, self.groups = theta, points, targets, groups
        others = np.exp(theta[-len(OTHERS) :]).tolist()
        self.trend, self.products, self.signal, self.local, self.noise, self.finer = others
        self.roots = np.exp(0.5 * theta[groups])
        self._scaled = (points - CENTRE) * self.roots
        covariance, *_ = self._covariance(self._scaled)
        covariance[np.diag_indices_from(covariance)] += self.noise + JITTER
        self.inverted, _ = inverse(covariance)
        self.alpha = self.inverted @ targets

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
            self.groups,
        )

    def correlation(self, one: Array, other: Array) -> Array:
        """Prior correlation ``[n, m]`` of two sets of points, of the global process."""
        return matern(squared_distances(one * self.roots, other * self.roots))[0]

    def _covariance(self, scaled: Array) -> tuple[Array, Array, Array]:
        """Prior covariance ``[n, m]`` with the data; the processes' slope; ``x · x'``."""
        squared = squared_distances(scaled, self._scaled)
        covariance, inner = trend_covariance(scaled, self._scaled, self.trend, self.products)
        smooth, slope = process(squared, self.signal)
        rough, steeper = process(squared, self.local, self.finer)
        covariance += smooth
        covariance += rough
        slope += steeper
        return covariance, slope, inner

    def _moments(self, scaled: Array, covariance: Array) -> tuple[Array, Array, Array]:
        """Posterior means and standard deviations ``[n]``, and ``covariance @ inverted``."""
        solved = covariance @ self.inverted
        squares = scaled**2
        norm, fourth = squares.sum(axis=1), (squares * squares).sum(axis=1)
        prior = self.signal + self.local + self.trend * (1.0 + 2.0 * norm + fourth)
        prior += self.products * (norm * norm - fourth)
        variance = np.maximum(prior - np.einsum("ij,ij->i", solved, covariance), 1e-12)
        return covariance @ self.alpha, np.sqrt(variance), solved

    def means(self, points: Array) -> Array:
        """Posterior means ``[n]``."""
        covariance, *_ = self._covariance((points - CENTRE) * self.roots)
        means: Array = covariance @ self.alpha
        return means

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Posterior means and standard deviations ``[n]`` of the noiseless function."""
        scaled = (points - CENTRE) * self.roots
        covariance, *_ = self._covariance(scaled)
        means, deviations, _ = self._moments(scaled, covariance)
        return means, deviations

    def log_ei(self, points: Array, target: float) -> Array:
        """Log expected improvement ``[n]`` below *target*."""
        means, deviations = self.predict(points)
        log_h, _ = log_improvement((target - means) / deviations)
        return np.log(deviations) + log_h

    def log_ei_gradient(self, points: Array, target: float) -> tuple[Array, Array]:
        """Log expected improvement ``[n]`` and its gradient ``[n, width]``."""
        scaled = (points - CENTRE) * self.roots
        covariance, slope, inner = self._covariance(scaled)
        means, deviations, solved = self._moments(scaled, covariance)
        z = (target - means) / deviations
        log_h, ratio = log_improvement(z)
        rise = -ratio / deviations  # of the gain, by the mean and by half the variance
        spread = (1.0 - ratio * z) / deviations**2
        weights = rise[:, None] * self.alpha - spread[:, None] * solved
        w = weights * slope
        towards = w.sum(axis=1)[:, None] * scaled - w @ self._scaled
        squares, apart = scaled**2, self.trend - self.products
        across = ((self.trend + self.products * inner) * weights) @ self._scaled
        across += apart * scaled * (weights @ self._scaled**2)
        norm = squares.sum(axis=1, keepdims=True)
        own = spread[:, None] * scaled * (self.trend + self.products * norm + apart * squares)
        gradient: Array = 2.0 * self.roots * (towards + across + own)
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
