"""LAMB: AdamW whose every step is a fixed fraction of the tensor it moves.

You et al. 2020, arXiv:1904.00962, Algorithm 2, with the identity for phi. As in the authors' code
the ratio is 1 where a norm is 0, and biases and norms do not decay, unless parameter groups say so.
Each parameter is a layer of its own, biases too. Adam's corrections are folded into the step and
eps as in our Adam.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from automl_opt.api import Float, OneOf, OptimizerSpec, Rule

if TYPE_CHECKING:
    from torch import Tensor

    from automl_opt.builtin.types import Number, State


def init(param: Tensor) -> State:
    return {"mean": param.new_zeros(param.shape), "square": param.new_zeros(param.shape)}


def coefficients(
    t: int, *, lr: float, beta1: float, beta2: float, weight_decay: float, eps: float
) -> dict[str, float]:
    root = math.sqrt(1 - beta2**t)
    return {
        "lr": lr,
        "gain": root / (1 - beta1**t),
        "weight_decay": weight_decay,
        "blend1": 1 - beta1,
        "blend2": 1 - beta2,
        "eps": eps * root,
    }


def update(
    param: Tensor,
    grad: Tensor,
    state: State,
    *,
    lr: Number,
    gain: Number,
    weight_decay: Number,
    blend1: Number,
    blend2: Number,
    eps: Number,
) -> tuple[Tensor, State]:
    mean = state["mean"].lerp(grad, blend1)
    square = state["square"].lerp(grad * grad, blend2)
    move = gain * mean / (square.sqrt() + eps) + weight_decay * param
    size, length = param.norm(), move.norm()
    ratio = (size / length).where((size > 0) & (length > 0), 1.0)
    return param - lr * ratio * move, {"mean": mean, "square": square}


spec = OptimizerSpec(
    name="lamb",
    summary="AdamW, each tensor's step in proportion to its norm",
    paper="You et al. 2020, arXiv:1904.00962, Algorithm 2",
    rule=Rule(init, update, coefficients),
    decay="weight_decay",
    params={
        "lr": Float(1e-3, 5e-2, log=True, default=1e-2),
        "beta1": Float(0.8, 0.99, default=0.9),
        "beta2": Float(0.9, 0.9999, default=0.999),
        "weight_decay": Float(1e-6, 0.3, log=True, default=1e-2),
        "eps": OneOf((1e-6,)),
    },
)
