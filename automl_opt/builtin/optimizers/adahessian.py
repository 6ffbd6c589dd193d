"""AdaHessian: Adam with the curvature in place of the gradient under the root.

Yao et al. 2021, arXiv:2006.00719, Algorithm 1, with its spatial averaging. As in the authors' code
(github.com/amirgholami/adahessian) the average is over the sizes of the curvature, and a matrix is
not averaged. Theirs averages over the kernels of two-dimensional convolutions; ours
over every dimension after the second, so that kernels of one and three are averaged, too. One
Hutchinson sample a step, as there. Weights decay by themselves, at the learning rate; biases and
norms go free of it unless parameter groups say otherwise. The corrections are folded into the step
size and eps as in our Adam.
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
    t: int,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    power: float,
    weight_decay: float,
    eps: float,
) -> dict[str, float]:
    root = math.sqrt(1 - beta2**t) ** power
    return {
        "keep": 1 - lr * weight_decay,
        "descent": -lr * root / (1 - beta1**t),
        "blend1": 1 - beta1,
        "blend2": 1 - beta2,
        "power": power,
        "eps": eps * root,
    }


def update(
    param: Tensor,
    grad: Tensor,
    state: State,
    *,
    curvature: Tensor,
    keep: Number,
    descent: Number,
    blend1: Number,
    blend2: Number,
    power: Number,
    eps: Number,
) -> tuple[Tensor, State]:
    size = curvature.abs()
    if param.ndim > 2:
        size = size.mean(tuple(range(2, param.ndim)), keepdim=True).expand(param.shape)
    mean = state["mean"].lerp(grad, blend1)
    square = state["square"].lerp(size * size, blend2)
    param = (keep * param).addcdiv(descent * mean, square.sqrt() ** power + eps)
    return param, {"mean": mean, "square": square}


spec = OptimizerSpec(
    name="adahessian",
    summary="Adam with the Hessian's diagonal in place of the squared gradient",
    paper="Yao et al. 2021, arXiv:2006.00719, Algorithm 1",
    rule=Rule(init, update, coefficients),
    create_graph=True,
    decay="weight_decay",
    params={
        "lr": Float(1e-2, 0.3, log=True, default=0.15),
        "beta1": Float(0.8, 0.99, default=0.9),
        "beta2": Float(0.9, 0.9999, default=0.999),
        "power": Float(0.5, 1.0, default=1.0),
        "weight_decay": Float(1e-6, 0.3, log=True, default=1e-3),
        "eps": OneOf((1e-4,)),
    },
)
