"""AdaMax: Adam with a decaying maximum in place of the mean square.

Kingma & Ba 2015, arXiv:1412.6980, Algorithm 2. As in torch eps is added to the gradient's size
before the maximum is taken; the paper has none and divides 0 by 0 where no gradient ever came.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from automl_opt.api import Float, OneOf, OptimizerSpec, Rule

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from automl_opt.builtin.types import Number, State


def init(param: Tensor) -> State:
    return {"mean": param.new_zeros(param.shape), "largest": param.new_zeros(param.shape)}


def coefficients(t: int, *, lr: float, beta1: float, beta2: float, eps: float) -> dict[str, float]:
    return {
        "descent": -lr / (1 - beta1**t),
        "blend": 1 - beta1,
        "beta2": beta2,
        "eps": eps,
    }


def update(
    param: Tensor,
    grad: Tensor,
    state: State,
    *,
    descent: Number,
    blend: Number,
    beta2: Number,
    eps: Number,
) -> tuple[Tensor, State]:
    mean = state["mean"].lerp(grad, blend)
    largest = (beta2 * state["largest"]).maximum(grad.abs() + eps)
    return param.addcdiv(descent * mean, largest), {"mean": mean, "largest": largest}


def twin(
    parameters: Iterable[Tensor], *, lr: float, beta1: float, beta2: float, eps: float
) -> Optimizer:
    from torch.optim import Adamax

    return Adamax(parameters, lr=lr, betas=(beta1, beta2), eps=eps)


spec = OptimizerSpec(
    name="adamax",
    summary="Adam with a decaying maximum of the gradient in place of its mean square",
    paper="Kingma & Ba 2015, arXiv:1412.6980, Algorithm 2",
    rule=Rule(init, update, coefficients, elementwise=True),
    twin=twin,
    params={
        "lr": Float(1e-4, 3e-2, log=True, default=2e-3),
        "beta1": Float(0.8, 0.99, default=0.9),
        "beta2": Float(0.9, 0.9999, default=0.999),
        "eps": OneOf((1e-8,)),
    },
)
