"""Lion: follow the sign of an interpolated momentum.

Chen et al. 2023, arXiv:2302.06675, Algorithm 2. Every weight moves by the learning rate, whatever
the size of its gradient, so that rates are some 3 to 10 times smaller than Adam's and decays as
much larger. The decay is multiplied by the learning rate, and so by the schedule; biases and norms
go free of it unless parameter groups say otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Float, OptimizerSpec, Rule

if TYPE_CHECKING:
    from torch import Tensor

    from automl_opt.builtin.types import Number, State


def init(param: Tensor) -> State:
    return {"mean": param.new_zeros(param.shape)}


def coefficients(
    t: int, *, lr: float, beta1: float, beta2: float, weight_decay: float
) -> dict[str, float]:
    return {
        "keep": 1 - lr * weight_decay,
        "lr": lr,
        "blend1": 1 - beta1,
        "blend2": 1 - beta2,
    }


def update(
    param: Tensor,
    grad: Tensor,
    state: State,
    *,
    keep: Number,
    lr: Number,
    blend1: Number,
    blend2: Number,
) -> tuple[Tensor, State]:
    direction = state["mean"].lerp(grad, blend1).sign()
    return keep * param - lr * direction, {"mean": state["mean"].lerp(grad, blend2)}


spec = OptimizerSpec(
    name="lion",
    summary="steps of one size along the sign of an interpolated momentum",
    paper="Chen et al. 2023, arXiv:2302.06675, Algorithm 2",
    rule=Rule(init, update, coefficients, elementwise=True),
    decay="weight_decay",
    params={
        "lr": Float(1e-4, 1e-2, log=True, default=1e-3),
        "beta1": Float(0.8, 0.99, default=0.9),
        "beta2": Float(0.9, 0.999, default=0.99),
        "weight_decay": Float(1e-6, 1.0, log=True, default=1e-2),
    },
)
