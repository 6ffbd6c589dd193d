"""AdaDelta: steps as large as past steps were, relative to past gradients.

Zeiler 2012, arXiv:1212.5701, Algorithm 1. As in torch a learning rate multiplies the step; at its
default of 1 this is the paper's rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from automl_opt.api import Float, OptimizerSpec, Rule

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from automl_opt.builtin.types import Number, State


def init(param: Tensor) -> State:
    return {"square": param.new_zeros(param.shape), "moved": param.new_zeros(param.shape)}


def coefficients(t: int, *, lr: float, rho: float, eps: float) -> dict[str, float]:
    return {"lr": lr, "blend": 1 - rho, "eps": eps}


def update(
    param: Tensor, grad: Tensor, state: State, *, lr: Number, blend: Number, eps: Number
) -> tuple[Tensor, State]:
    square = state["square"].lerp(grad * grad, blend)
    move = ((state["moved"] + eps) / (square + eps)).sqrt() * grad
    moved = state["moved"].lerp(move * move, blend)
    return param - lr * move, {"square": square, "moved": moved}


def twin(parameters: Iterable[Tensor], *, lr: float, rho: float, eps: float) -> Optimizer:
    from torch.optim import Adadelta

    return Adadelta(parameters, lr=lr, rho=rho, eps=eps)


spec = OptimizerSpec(
    name="adadelta",
    summary="steps scaled by the ratio of past steps to past gradients",
    paper="Zeiler 2012, arXiv:1212.5701",
    rule=Rule(init, update, coefficients, elementwise=True),
    twin=twin,
    params={
        "lr": Float(0.1, 3.0, log=True, default=1.0),
        "rho": Float(0.8, 0.99, default=0.9),
        # not a mere guard against 0: its root is the size of the first steps
        "eps": Float(1e-8, 1e-3, log=True, default=1e-6),
    },
)
