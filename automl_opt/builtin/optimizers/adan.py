"""Adan: Adam with Nesterov's momentum taken from the differences of successive gradients.

Xie et al. 2022, arXiv:2208.06677, Algorithm 1, without restarts. As in the authors' code
(github.com/sail-sg/Adan) the betas say how much is kept, where the paper's say how much is new; the
running means start at 0 and are corrected as Adam's are; and the first difference is 0. Unlike
there, biases and norms do not decay unless parameter groups say so.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from automl_opt.api import Float, OneOf, OptimizerSpec, Rule

if TYPE_CHECKING:
    from torch import Tensor

    from automl_opt.builtin.types import Number, State


def init(param: Tensor) -> State:
    names = ("mean", "trend", "square", "before")
    return {name: param.new_zeros(param.shape) for name in names}


def coefficients(
    t: int,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    beta3: float,
    weight_decay: float,
    eps: float,
) -> dict[str, float]:
    root = math.sqrt(1 - beta3**t)
    return {
        "keep": 1 / (1 + lr * weight_decay),
        "descent_mean": -lr * root / (1 - beta1**t),
        "descent_trend": -lr * root * beta2 / (1 - beta2**t),
        "has_before": 0.0 if t == 1 else 1.0,
        "ahead": beta2,
        "blend1": 1 - beta1,
        "blend2": 1 - beta2,
        "blend3": 1 - beta3,
        "eps": eps * root,
    }


def update(
    param: Tensor,
    grad: Tensor,
    state: State,
    *,
    keep: Number,
    descent_mean: Number,
    descent_trend: Number,
    has_before: Number,
    ahead: Number,
    blend1: Number,
    blend2: Number,
    blend3: Number,
    eps: Number,
) -> tuple[Tensor, State]:
    difference = has_before * (grad - state["before"])
    expected = grad + ahead * difference
    mean = state["mean"].lerp(grad, blend1)
    trend = state["trend"].lerp(difference, blend2)
    square = state["square"].lerp(expected * expected, blend3)
    move = descent_mean * mean + descent_trend * trend
    param = keep * param.addcdiv(move, square.sqrt() + eps)
    # a copy: whoever computed the gradient may write the next one into the same memory
    return param, {"mean": mean, "trend": trend, "square": square, "before": grad.clone()}


spec = OptimizerSpec(
    name="adan",
    summary="Adam with Nesterov momentum from the differences of successive gradients",
    paper="Xie et al. 2022, arXiv:2208.06677, Algorithm 1",
    rule=Rule(init, update, coefficients, elementwise=True),
    decay="weight_decay",
    params={
        "lr": Float(1e-3, 0.1, log=True, default=1e-2),
        "beta1": Float(0.9, 0.99, default=0.98),
        "beta2": Float(0.8, 0.99, default=0.92),
        "beta3": Float(0.9, 0.999, default=0.99),
        "weight_decay": Float(1e-6, 0.3, log=True, default=2e-2),
        "eps": OneOf((1e-8,)),
    },
)
