"""Optimizers that torch has no twin of, written a second time straight from their papers.

Each is ``reference(weights, steps, **params) -> weights`` for one tensor in NumPy's float64;
``steps`` are the pairs ``(lr, gradient)``, or ``(lr, gradient, curvature)`` where the method looks
at the Hessian's diagonal. Slow and literal on purpose: no formula is folded, nothing is shared with
the package.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np


def lion(weights, steps, *, beta1, beta2, weight_decay):
    """Chen et al. 2023, Algorithm 2."""
    momentum = np.zeros_like(weights)
    for lr, grad in steps:
        direction = np.sign(beta1 * momentum + (1 - beta1) * grad)
        weights = weights - lr * (direction + weight_decay * weights)
        momentum = beta2 * momentum + (1 - beta2) * grad
    return weights


def adan(weights, steps, *, beta1, beta2, beta3, weight_decay, eps):
    """Xie et al. 2022, Algorithm 1, with the authors' corrections and first difference."""
    m, v, n = np.zeros_like(weights), np.zeros_like(weights), np.zeros_like(weights)
    before = steps[0][1]
    for t, (lr, grad) in enumerate(steps, start=1):
        difference = grad - before
        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * difference
        n = beta3 * n + (1 - beta3) * (grad + beta2 * difference) ** 2
        m_hat, v_hat, n_hat = m / (1 - beta1**t), v / (1 - beta2**t), n / (1 - beta3**t)
        weights = weights - lr / (np.sqrt(n_hat) + eps) * (m_hat + beta2 * v_hat)
        weights = weights / (1 + lr * weight_decay)
        before = grad
    return weights


def ftrl(weights, steps, *, beta, l1):
    """McMahan et al. 2013, Algorithm 1: z, n and sigma, one coordinate after the other.

    A learning rate of 0 means an infinite z: with a tiny one instead and many digits, the
    paper's own recursion still tells what becomes of the weights.
    """
    with localcontext() as context:
        context.prec = 80
        ended = [
            _ftrl_of_one(float(weight), [(lr, float(grad.flat[i])) for lr, grad in steps], beta, l1)
            for i, weight in enumerate(weights.flat)
        ]
    return np.array(ended).reshape(weights.shape)


def _ftrl_of_one(weight, steps, beta, l1):
    w, n, l1, beta = Decimal(weight), Decimal(0), Decimal(l1), Decimal(beta)
    z = inverse_rate = None
    for lr, grad in steps:
        alpha, g = max(Decimal(lr), Decimal("1e-30")), Decimal(grad)
        if z is None:
            inverse_rate = beta / alpha
            z = -w * inverse_rate
        n = n + g * g
        sigma = (beta + n.sqrt()) / alpha - inverse_rate
        inverse_rate = inverse_rate + sigma
        z = z + g - sigma * w
        w = Decimal(0) if abs(z) <= l1 else -(z - l1.copy_sign(z)) / inverse_rate
    return float(w)


def lars(weights, steps, *, momentum, weight_decay, trust):
    """You, Gitman & Ginsburg 2017, Algorithm 1."""
    velocity = np.zeros_like(weights)
    for lr, grad in steps:
        size, slope = math.sqrt((weights**2).sum()), math.sqrt((grad**2).sum())
        ratio = trust * size / (slope + weight_decay * size) if size > 0 and slope > 0 else 1.0
        velocity = momentum * velocity + lr * ratio * (grad + weight_decay * weights)
        weights = weights - velocity
    return weights


def lamb(weights, steps, *, beta1, beta2, weight_decay, eps):
    """You et al. 2020, Algorithm 2."""
    m, v = np.zeros_like(weights), np.zeros_like(weights)
    for t, (lr, grad) in enumerate(steps, start=1):
        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * grad**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        move = m_hat / (np.sqrt(v_hat) + eps) + weight_decay * weights
        size, length = math.sqrt((weights**2).sum()), math.sqrt((move**2).sum())
        ratio = size / length if size > 0 and length > 0 else 1.0
        weights = weights - lr * ratio * move
    return weights


def muon(
    weights,
    steps,
    *,
    momentum,
    weight_decay,
    fallback_ratio,
    fallback_beta1,
    fallback_beta2,
    fallback_eps,
):
    """Jordan et al. 2024, the polynomial applied to the singular values; AdamW for vectors."""
    if weights.ndim < 2:
        scaled = [(fallback_ratio * lr, grad) for lr, grad in steps]
        return _adamw(weights, scaled, fallback_beta1, fallback_beta2, weight_decay, fallback_eps)
    mean = np.zeros_like(weights)
    for lr, grad in steps:
        mean = momentum * mean + (1 - momentum) * grad
        ahead = momentum * mean + (1 - momentum) * grad
        matrix = ahead.reshape(weights.shape[0], -1)
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        values = values / max(math.sqrt((values**2).sum()), 1e-7)
        for _ in range(5):
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        rows, columns = matrix.shape
        move = ((left * values) @ right).reshape(weights.shape)
        weights = weights - lr * weight_decay * weights
        weights = weights - lr * max(1, rows / columns) ** 0.5 * move
    return weights


def _adamw(weights, steps, beta1, beta2, weight_decay, eps):
    m, v = np.zeros_like(weights), np.zeros_like(weights)
    for t, (lr, grad) in enumerate(steps, start=1):
        weights = weights - lr * weight_decay * weights
        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * grad**2
        weights = weights - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return weights


def adahessian(weights, steps, *, beta1, beta2, power, weight_decay, eps):
    """Yao et al. 2021, Algorithm 1; the spatial averaging kernel by kernel."""
    m, v = np.zeros_like(weights), np.zeros_like(weights)
    for t, (lr, grad, curvature) in enumerate(steps, start=1):
        diagonal = np.abs(curvature)
        if weights.ndim > 2:
            averaged = np.empty_like(diagonal)
            for row in range(weights.shape[0]):
                for column in range(weights.shape[1]):
                    averaged[row, column] = diagonal[row, column].mean()
            diagonal = averaged
        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * diagonal**2
        m_hat, root = m / (1 - beta1**t), np.sqrt(v / (1 - beta2**t)) ** power
        weights = weights - lr * (m_hat / (root + eps) + weight_decay * weights)
    return weights


def sophia(weights, steps, *, beta1, beta2, gamma, weight_decay, eps):
    """Liu et al. 2023, Algorithm 3 with an estimate at every step (k = 1)."""
    m, h = np.zeros_like(weights), np.zeros_like(weights)
    for lr, grad, curvature in steps:
        m = beta1 * m + (1 - beta1) * grad
        h = beta2 * h + (1 - beta2) * curvature
        weights = weights - lr * weight_decay * weights
        weights = weights - lr * np.clip(m / np.maximum(gamma * h, eps), -1, 1)
    return weights
