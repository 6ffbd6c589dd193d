"""SciPy's minimisers as torch optimizers: one step runs a few iterations from where it stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize
from torch import Tensor
from torch.optim import Optimizer

Vector = NDArray[np.float64]


class ScipyMinimizer(Optimizer):
    """All parameters as one float64 vector, which SciPy moves.

    A step is a function of the weights and of what the closure computes; the state only counts the
    evaluations so far. A group's ``lr`` is the share that its weights go of the way to the point
    found; the other options are those of the first group. Where nothing better is found the weights
    stay; where a step begins at a loss or gradient that is not finite they become NaN, as they do
    with other optimizers, so that the trial is seen to diverge.
    """

    def _minimize(
        self, evaluate: Callable[[Vector], tuple[float, Vector]], start: Vector
    ) -> OptimizeResult:
        """SciPy's result for *evaluate*, which gives the loss and its gradient, from *start*."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Tensor:
        """Move the weights; the loss before that, detached.

        Args:
            closure: zeroes the gradients, computes them anew and returns the loss.
        """
        losses: list[Tensor] = []
        finite: list[bool] = []

        def evaluate(point: Vector) -> tuple[float, Vector]:
            self._move_to(point)
            with torch.enable_grad():
                losses.append(torch.as_tensor(closure()).detach())
            loss, grad = float(losses[-1]), self._flat_grad()
            finite.append(math.isfinite(loss) and bool(np.isfinite(grad).all()))
            if not finite[-1]:  # from where a line search turns back
                return math.inf, np.zeros_like(grad)
            return loss, grad

        start = _flat(param for _, param in self._parameters())
        rates = [np.full(param.numel(), group["lr"]) for group, param in self._parameters()]
        with np.errstate(all="ignore"):  # differences of infinite losses
            found = self._minimize(evaluate, start)
        if not finite[0]:
            self._move_to(np.full_like(start, math.nan))
        elif math.isfinite(found.fun) and np.isfinite(found.x).all():
            self._move_to(start + np.concatenate(rates) * (found.x - start))
        else:
            self._move_to(start)
        state = self.state[self.param_groups[0]["params"][0]]
        state["evaluations"] = state.get("evaluations", 0) + len(losses)
        return losses[0]

    def _parameters(self) -> list[tuple[dict[str, Any], Tensor]]:
        """``(group, parameter)`` in the order of the vector."""
        return [(group, param) for group in self.param_groups for param in group["params"]]

    def _flat_grad(self) -> Vector:
        grads = [p.new_zeros(p.shape) if p.grad is None else p.grad for _, p in self._parameters()]
        return _flat(grads)

    def _move_to(self, point: Vector) -> None:
        offset = 0
        for _, param in self._parameters():
            piece = torch.from_numpy(point[offset : offset + param.numel()].copy())
            param.copy_(piece.view(param.shape))
            offset += param.numel()


class NonlinearCG(ScipyMinimizer):
    """Up to *max_iter* iterations of Polak–Ribière+ conjugate gradients a step.

    Args:
        tolerance_grad: iterations end where no element of the gradient is larger.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        max_iter: int = 5,
        tolerance_grad: float = 1e-7,
    ) -> None:
        options = {"lr": lr, "max_iter": max_iter, "tolerance_grad": tolerance_grad}
        super().__init__(params, options)

    def _minimize(
        self, evaluate: Callable[[Vector], tuple[float, Vector]], start: Vector
    ) -> OptimizeResult:
        group = self.param_groups[0]
        options = {"maxiter": group["max_iter"], "gtol": group["tolerance_grad"]}
        return minimize(evaluate, start, jac=True, method="CG", options=options)


class NewtonCG(ScipyMinimizer):
    """Up to *max_iter* iterations of a truncated Newton method a step.

    Args:
        max_products: Hessian-vector products an iteration; then its line search begins.
        tolerance_change: iterations end where the mean change of a weight is smaller.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        max_iter: int = 2,
        max_products: int = 10,
        tolerance_change: float = 1e-9,
    ) -> None:
        options = {
            "lr": lr,
            "max_iter": max_iter,
            "max_products": max_products,
            "tolerance_change": tolerance_change,
        }
        super().__init__(params, options)

    def _minimize(
        self, evaluate: Callable[[Vector], tuple[float, Vector]], start: Vector
    ) -> OptimizeResult:
        group = self.param_groups[0]
        precision = max(torch.finfo(param.dtype).eps for _, param in self._parameters())
        products: list[Vector] = []
        last = start

        def hessian_product(point: Vector, direction: Vector) -> Vector:
            nonlocal last
            if not np.array_equal(point, last):  # another iteration
                last = point.copy()
                products.clear()
            if len(products) == group["max_products"]:
                return -direction  # at a negative curvature SciPy goes with what it has
            length = np.linalg.norm(direction)
            if length == 0:
                return direction
            # 8.1: rounding and truncation are in balance at the cube root of the precision
            shift = precision ** (1 / 3) * (1 + np.linalg.norm(point)) / length
            ahead = evaluate(point + shift * direction)[1]
            behind = evaluate(point - shift * direction)[1]
            products.append((ahead - behind) / (2 * shift))
            return products[-1]

        return minimize(
            evaluate,
            start,
            jac=True,
            hessp=hessian_product,
            method="Newton-CG",
            options={"maxiter": group["max_iter"], "xtol": group["tolerance_change"]},
        )


def _flat(tensors: Iterable[Tensor]) -> Vector:
    pieces = [tensor.detach().reshape(-1).double().cpu() for tensor in tensors]
    flat: Vector = torch.cat(pieces).numpy()
    return flat
