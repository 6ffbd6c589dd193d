"""AdamW: Adam, with weights that decay by themselves instead of through the gradient.

Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 2. As in torch the decay is multiplied by the
learning rate, and so by the schedule; unlike there, biases and norms go free of it unless parameter
groups say otherwise. The corrections are folded into the step size and eps as in our Adam.
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


def coefficients(
    t: int, *, lr: float, beta1: float, beta2: float, weight_decay: float, eps: float
) -> dict[str, float]:
    root = math.sqrt(1 - beta2**t)
    return {
        "keep": 1 - lr * weight_decay,
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
    keep: Number,
    descent: Number,
    blend1: Number,
    blend2: Number,
    eps: Number,
) -> tuple[Tensor, State]:
    mean = state["mean"].lerp(grad, blend1)
    square = state["square"].lerp(grad * grad, blend2)
    param = (keep * param).addcdiv(descent * mean, square.sqrt() + eps)
    return param, {"mean": mean, "square": square}


def twin(
    parameters: Iterable[Tensor],
    *,
    lr: float,
    beta1: float,
    beta2: float,
    weight_decay: float,
    eps: float,
) -> Optimizer:
    from torch.optim import AdamW

    return AdamW(parameters, lr=lr, betas=(beta1, beta2), weight_decay=weight_decay, eps=eps)


spec = OptimizerSpec(
    name="adamw",
    summary="Adam with decoupled weight decay",
    paper="Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 2",
    rule=Rule(init, update, coefficients, elementwise=True),
    decay="weight_decay",
    twin=twin,
    params={
        "lr": Float(1e-4, 3e-2, log=True, default=1e-3),
        "beta1": Float(0.8, 0.99, default=0.9),
        "beta2": Float(0.9, 0.9999, default=0.999),
        "weight_decay": Float(1e-6, 0.3, log=True, default=1e-2),
        "eps": OneOf((1e-8,)),
    },
    generalises={"adam": {"weight_decay": 0.0}},
)
