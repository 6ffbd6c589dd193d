"""Adafactor: Adam's mean square, kept as one row and one column of each matrix.

Shazeer & Stern 2018, arXiv:1804.04235, Algorithm 4, in torch's form: ``lr`` takes the place of the
paper's 0.01 as the largest relative step, which ``1 / sqrt(t)`` caps, so that a high rate falls by
itself; weights decay on their own, biases and norms only where parameter groups say so; eps1 is a
floor under the estimate instead of being added to the squared gradients. The last two dimensions of
a tensor are its matrices; vectors keep every square. torch's eps1, the dtype's precision, distorts
the estimate of float32 gradients below 3e-4; ours does below 3e-8.
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
    if param.ndim < 2:
        return {"square": param.new_zeros(param.shape)}
    *stack, rows, columns = param.shape
    return {
        "row": param.new_zeros((*stack, rows, 1)),
        "column": param.new_zeros((*stack, 1, columns)),
    }


def coefficients(
    t: int,
    *,
    lr: float,
    beta2_decay: float,
    weight_decay: float,
    clip: float,
    eps1: float,
    eps2: float,
) -> dict[str, float]:
    return {
        "keep": 1 - lr * weight_decay,
        "step": min(lr, 1 / math.sqrt(t)),
        "blend": t**beta2_decay,
        "clip": clip,
        "eps1": eps1,
        "eps2": eps2,
    }


def update(
    param: Tensor,
    grad: Tensor,
    state: State,
    *,
    keep: Number,
    step: Number,
    blend: Number,
    clip: Number,
    eps1: Number,
    eps2: Number,
) -> tuple[Tensor, State]:
    square = grad * grad
    if param.ndim < 2:
        state = {"square": state["square"].lerp(square, blend)}
        estimate = state["square"]
    else:
        row = state["row"].lerp(square.mean(-1, keepdim=True), blend)
        column = state["column"].lerp(square.mean(-2, keepdim=True), blend)
        state = {"row": row, "column": column}
        estimate = row / at_least(eps1, row.mean(-2, keepdim=True)) * column
    move = grad / at_least(eps1 * eps1, estimate).sqrt()
    size = step * at_least(eps2, rms(param)) / at_least(1.0, rms(move) / clip)
    return keep * param - size * move, state


def rms(tensor: Tensor) -> Tensor:
    return tensor.norm() / math.sqrt(tensor.numel())


def at_least(low: Number, tensor: Tensor) -> Tensor:
    """``tensor.clamp(min=low)``, for a *low* that may be a tensor or a float."""
    return tensor.where(tensor > low, low)


def twin(
    parameters: Iterable[Tensor],
    *,
    lr: float,
    beta2_decay: float,
    weight_decay: float,
    clip: float,
    eps1: float,
    eps2: float,
) -> Optimizer:
    from torch.optim import Adafactor

    return Adafactor(
        parameters,
        lr=lr,
        beta2_decay=beta2_decay,
        eps=(eps1, eps2),
        d=clip,
        weight_decay=weight_decay,
    )


spec = OptimizerSpec(
    name="adafactor",
    summary="Adam without momentum, its mean square kept as one row and column of each matrix",
    paper="Shazeer & Stern 2018, arXiv:1804.04235, Algorithm 4",
    rule=Rule(init, update, coefficients),
    decay="weight_decay",
    twin=twin,
    params={
        "lr": Float(3e-3, 0.3, log=True, default=3e-2),
        "beta2_decay": Float(-1.0, -0.5, default=-0.8),
        "weight_decay": Float(1e-6, 0.1, log=True, default=1e-3),
        "clip": OneOf((1.0,)),
        # squared before use, and 1e-30 is about what float32 bears
        "eps1": OneOf((1e-15,)),
        "eps2": OneOf((1e-3,)),
    },
)
