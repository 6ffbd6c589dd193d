"""Sophia-H: momentum over the curvature, each weight's step cut off at the learning rate.

Liu et al. 2023, arXiv:2305.14342, Algorithm 3 with the Hutchinson estimator (Algorithm 1). The
paper estimates the curvature once in ten steps to save time; ours does at every step, so that at
the same ``beta2`` its mean reaches back over a tenth of the steps. As there, the means start at 0
and are not corrected, and where the curvature is not positive a weight moves by the learning rate.
Biases and norms do not decay unless parameter groups say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Float, OneOf, OptimizerSpec, Rule

if TYPE_CHECKING:
    from torch import Tensor

    from automl_opt.builtin.types import Number, State


def init(param: Tensor) -> State:
    return {"mean": param.new_zeros(param.shape), "curvature": param.new_zeros(param.shape)}


def coefficients(
    t: int,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    gamma: float,
    weight_decay: float,
    eps: float,
) -> dict[str, float]:
    return {
        "keep": 1 - lr * weight_decay,
        "lr": lr,
        "blend1": 1 - beta1,
        "blend2": 1 - beta2,
        "gamma": gamma,
        "eps": eps,
    }


def update(
    param: Tensor,
    grad: Tensor,
    state: State,
    *,
    curvature: Tensor,
    keep: Number,
    lr: Number,
    blend1: Number,
    blend2: Number,
    gamma: Number,
    eps: Number,
) -> tuple[Tensor, State]:
    mean = state["mean"].lerp(grad, blend1)
    curvature = state["curvature"].lerp(curvature, blend2)
    move = (mean / (gamma * curvature).clamp(min=eps)).clamp(-1.0, 1.0)
    return keep * param - lr * move, {"mean": mean, "curvature": curvature}


spec = OptimizerSpec(
    name="sophia",
    summary="momentum over the Hessian's diagonal, no step larger than the learning rate",
    paper="Liu et al. 2023, arXiv:2305.14342, Algorithm 3",
    rule=Rule(init, update, coefficients, elementwise=True),
    create_graph=True,
    decay="weight_decay",
    params={
        "lr": Float(1e-4, 1e-2, log=True, default=1e-3),
        "beta1": Float(0.9, 0.99, default=0.96),
        "beta2": Float(0.9, 0.999, default=0.99),
        "gamma": Float(1e-3, 0.1, log=True, default=1e-2),
        "weight_decay": Float(1e-6, 1.0, log=True, default=0.1),
        "eps": OneOf((1e-12,)),
    },
)
