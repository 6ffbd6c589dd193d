"""AdaGrad: divide each step by the root of the sum of all squared gradients so far.

Duchi, Hazan & Singer 2011, JMLR 12:2121, the diagonal case of fig. 1. As in torch eps is added to
the root, and the step has no proximal term.
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
    return {"total": param.new_zeros(param.shape)}


def coefficients(t: int, *, lr: float, eps: float) -> dict[str, float]:
    return {"descent": -lr, "eps": eps}


def update(
    param: Tensor, grad: Tensor, state: State, *, descent: Number, eps: Number
) -> tuple[Tensor, State]:
    total = state["total"].addcmul(grad, grad)
    return param.addcdiv(descent * grad, total.sqrt() + eps), {"total": total}


def twin(parameters: Iterable[Tensor], *, lr: float, eps: float) -> Optimizer:
    from torch.optim import Adagrad

    return Adagrad(parameters, lr=lr, eps=eps)


spec = OptimizerSpec(
    name="adagrad",
    summary="steps divided by the root of the sum of all squared gradients",
    paper="Duchi, Hazan & Singer 2011, jmlr.org/papers/v12/duchi11a.html",
    rule=Rule(init, update, coefficients, elementwise=True),
    twin=twin,
    params={
        "lr": Float(1e-3, 0.3, log=True, default=1e-2),
        "eps": OneOf((1e-10,)),
    },
)
