"""RMSProp: divide each step by the root of a running mean of squared gradients.

Tieleman & Hinton 2012, Coursera lecture 6.5. As in torch eps is added to the root. The mean starts
at 0 and is not corrected, so the first step is ``1 / sqrt(1 - alpha)`` times the learning rate:
hence a default of 0.001 instead of torch's 0.01.
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
    return {"square": param.new_zeros(param.shape)}


def coefficients(t: int, *, lr: float, alpha: float, eps: float) -> dict[str, float]:
    return {"descent": -lr, "blend": 1 - alpha, "eps": eps}


def update(
    param: Tensor, grad: Tensor, state: State, *, descent: Number, blend: Number, eps: Number
) -> tuple[Tensor, State]:
    square = state["square"].lerp(grad * grad, blend)
    return param.addcdiv(descent * grad, square.sqrt() + eps), {"square": square}


def twin(parameters: Iterable[Tensor], *, lr: float, alpha: float, eps: float) -> Optimizer:
    from torch.optim import RMSprop

    return RMSprop(parameters, lr=lr, alpha=alpha, eps=eps)


spec = OptimizerSpec(
    name="rmsprop",
    summary="steps divided by the root of a running mean of squared gradients",
    paper="Tieleman & Hinton 2012, Neural Networks for Machine Learning, lecture 6.5",
    rule=Rule(init, update, coefficients, elementwise=True),
    twin=twin,
    params={
        "lr": Float(1e-4, 3e-2, log=True, default=1e-3),
        "alpha": Float(0.9, 0.999, default=0.99),
        "eps": OneOf((1e-8,)),
    },
)
