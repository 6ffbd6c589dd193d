"""LARS: SGD with momentum whose every step is a fixed fraction of the tensor it moves.

You, Gitman & Ginsburg 2017, arXiv:1708.03888, Algorithm 1. The paper does not say what to do with
norms of 0: a tensor or gradient of 0 takes a plain step, as in NVIDIA's LARC. Each parameter is a
layer of its own, biases too; these and norms do not decay unless parameter groups say so. Only
``lr * trust`` matters where no norm is 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Float, OneOf, OptimizerSpec, Rule

if TYPE_CHECKING:
    from torch import Tensor

    from automl_opt.builtin.types import Number, State


def init(param: Tensor) -> State:
    return {"velocity": param.new_zeros(param.shape)}


def update(
    param: Tensor,
    grad: Tensor,
    state: State,
    *,
    lr: Number,
    momentum: Number,
    weight_decay: Number,
    trust: Number,
) -> tuple[Tensor, State]:
    size, slope = param.norm(), grad.norm()
    ratio = trust * size / (slope + weight_decay * size)
    ratio = ratio.where((size > 0) & (slope > 0), 1.0)
    velocity = momentum * state["velocity"] + lr * ratio * (grad + weight_decay * param)
    return param - velocity, {"velocity": velocity}


spec = OptimizerSpec(
    name="lars",
    summary="SGD with momentum, each tensor's step in proportion to its norm",
    paper="You, Gitman & Ginsburg 2017, arXiv:1708.03888, Algorithm 1",
    rule=Rule(init, update),
    decay="weight_decay",
    params={
        "lr": Float(0.3, 5.0, log=True, default=2.0),
        "momentum": Float(0.5, 0.99, default=0.9),
        "weight_decay": Float(1e-6, 1e-2, log=True, default=5e-4),
        "trust": OneOf((1e-3,)),
    },
)
