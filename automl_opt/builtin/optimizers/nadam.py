"""NAdam: Adam with Nesterov's look-ahead and a momentum that warms up.

Dozat 2016, "Incorporating Nesterov Momentum into Adam", with the momentum schedule
``beta1 * (1 - 0.96 ** (t * momentum_decay) / 2)`` and, as in torch, the plain ``beta1`` in the
running mean. The product of the momenta so far is not state but a table computed once for each
``(beta1, momentum_decay)``, in float64; torch keeps it as a tensor of the default dtype.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from automl_opt.api import Float, OneOf, OptimizerSpec, Rule

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from automl_opt.builtin.types import Number, State


def init(param: Tensor) -> State:
    return {"mean": param.new_zeros(param.shape), "square": param.new_zeros(param.shape)}


def momentum(t: int, beta1: float, momentum_decay: float) -> float:
    return float(beta1 * (1.0 - 0.5 * 0.96 ** (t * momentum_decay)))


@lru_cache(maxsize=4096)
def products(beta1: float, momentum_decay: float) -> array[float]:
    """The products of the first 0, 1, 2, … momenta, as far as ``1 - product`` can tell from 1.

    Some 200 numbers at ``beta1 = 0.9``, some 4000 at 0.99: beyond the table the product is 0.
    """
    if not 0 <= beta1 < 1:
        raise ValueError(f"nadam: beta1 must be at least 0 and below 1, not {beta1!r}")
    table = array("d", [1.0])
    while table[-1] > 2**-60:
        table.append(table[-1] * momentum(len(table), beta1, momentum_decay))
    return table


def coefficients(
    t: int, *, lr: float, beta1: float, beta2: float, momentum_decay: float, eps: float
) -> dict[str, float]:
    table = products(beta1, momentum_decay)
    product = table[t] if t < len(table) else 0.0
    now = momentum(t, beta1, momentum_decay)
    ahead = momentum(t + 1, beta1, momentum_decay)
    root = math.sqrt(1 - beta2**t)
    return {
        "descent_grad": -lr * root * (1 - now) / (1 - product),
        "descent_mean": -lr * root * ahead / (1 - product * ahead),
        "blend1": 1 - beta1,
        "blend2": 1 - beta2,
        "eps": eps * root,
    }


def update(
    param: Tensor,
    grad: Tensor,
    state: State,
    *,
    descent_grad: Number,
    descent_mean: Number,
    blend1: Number,
    blend2: Number,
    eps: Number,
) -> tuple[Tensor, State]:
    mean = state["mean"].lerp(grad, blend1)
    square = state["square"].lerp(grad * grad, blend2)
    move = descent_grad * grad + descent_mean * mean
    return param.addcdiv(move, square.sqrt() + eps), {"mean": mean, "square": square}


def twin(
    parameters: Iterable[Tensor],
    *,
    lr: float,
    beta1: float,
    beta2: float,
    momentum_decay: float,
    eps: float,
) -> Optimizer:
    from torch.optim import NAdam

    return NAdam(parameters, lr=lr, betas=(beta1, beta2), momentum_decay=momentum_decay, eps=eps)


spec = OptimizerSpec(
    name="nadam",
    summary="Adam with Nesterov's look-ahead",
    paper="Dozat 2016, openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ",
    rule=Rule(init, update, coefficients, elementwise=True),
    twin=twin,
    params={
        "lr": Float(1e-4, 3e-2, log=True, default=2e-3),
        "beta1": Float(0.8, 0.99, default=0.9),
        "beta2": Float(0.9, 0.9999, default=0.999),
        "momentum_decay": OneOf((4e-3,)),
        "eps": OneOf((1e-8,)),
    },
)
