"""Adam: running means of the gradient and of its square, corrected for their start at 0.

Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1. Both corrections are folded into the step size and
eps, which leaves the result as it is. The paper's own short form (end of section 2) keeps eps as it
is, which changes the first steps. Coupled weight decay is a regularizer's business.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from automl_opt.api import Float, OneOf, OptimizerSpec, Rule

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from automl_opt.builtin.types import Number, State


def init(param: Tensor) -> State:
    return {"mean": param.new_zeros(param.shape), "square": param.new_zeros(param.shape)}


def coefficients(t: int, *, lr: float, beta1: float, beta2: float, eps: float) -> dict[str, float]:
    root = math.sqrt(1 - beta2**t)
    return {
        "descent": -lr * root / (1 - beta1**t),
        "blend1": 1 - beta1,
        "blend2": 1 - beta2,
        "eps": eps * root,
    }


def update(
    param: Tensor,
    grad: Tensor,
    state: State,
    *,
    descent: Number,
    blend1: Number,
    blend2: Number,
    eps: Number,
) -> tuple[Tensor, State]:
    mean = state["mean"].lerp(grad, blend1)
    square = state["square"].lerp(grad * grad, blend2)
    return param.addcdiv(descent * mean, square.sqrt() + eps), {"mean": mean, "square": square}


def twin(
    parameters: Iterable[Tensor], *, lr: float, beta1: float, beta2: float, eps: float
) -> Optimizer:
    from torch.optim import Adam

    return Adam(parameters, lr=lr, betas=(beta1, beta2), eps=eps)


spec = OptimizerSpec(
    name="adam",
    summary="running means of the gradient and its square, bias-corrected",
    paper="Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1",
    rule=Rule(init, update, coefficients, elementwise=True),
    twin=twin,
    params={
        "lr": Float(1e-4, 3e-2, log=True, default=1e-3),
        "beta1": Float(0.8, 0.99, default=0.9),
        "beta2": Float(0.9, 0.9999, default=0.999),
        "eps": OneOf((1e-8,)),
    },
)
