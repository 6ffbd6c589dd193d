"""RAdam: Adam that waits for its mean square to be trustworthy, and scales by how far it is.

Liu et al. 2020, arXiv:1908.03265, Algorithm 2. For the first steps (5 at ``beta2 = 0.999``) there
is momentum and no division; from then on a factor that rises to 1. Which it is depends on the step
alone, so it is a matter of coefficients. As in torch the switch is at 5 where the paper has 4, and
eps, which the paper does without, is added to the root before its correction. The factor is still
0.2 after a hundred steps, hence a default above Adam's.
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
    blends = {"blend1": 1 - beta1, "blend2": 1 - beta2}
    descent = -lr / (1 - beta1**t)
    known = 1 - beta2**t
    longest = 2 / (1 - beta2) - 1  # the length of the average: the paper's rho
    length = longest - 2 * t * beta2**t / known
    if length <= 5:
        return {"descent": descent, "root_weight": 0.0, "eps": 1.0, **blends}
    trust = ((length - 4) * (length - 2) * longest) / ((longest - 4) * (longest - 2) * length)
    return {"descent": descent * math.sqrt(trust * known), "root_weight": 1.0, "eps": eps, **blends}


def update(
    param: Tensor,
    grad: Tensor,
    state: State,
    *,
    descent: Number,
    root_weight: Number,
    eps: Number,
    blend1: Number,
    blend2: Number,
) -> tuple[Tensor, State]:
    mean = state["mean"].lerp(grad, blend1)
    square = state["square"].lerp(grad * grad, blend2)
    param = param.addcdiv(descent * mean, root_weight * square.sqrt() + eps)
    return param, {"mean": mean, "square": square}


def twin(
    parameters: Iterable[Tensor], *, lr: float, beta1: float, beta2: float, eps: float
) -> Optimizer:
    from torch.optim import RAdam

    return RAdam(parameters, lr=lr, betas=(beta1, beta2), eps=eps)


spec = OptimizerSpec(
    name="radam",
    summary="Adam with a warm-up of its own: steps scaled by what its mean square is worth",
    paper="Liu et al. 2020, arXiv:1908.03265, Algorithm 2",
    rule=Rule(init, update, coefficients, elementwise=True),
    twin=twin,
    params={
        "lr": Float(1e-4, 3e-2, log=True, default=3e-3),
        "beta1": Float(0.8, 0.99, default=0.9),
        "beta2": Float(0.9, 0.9999, default=0.999),
        "eps": OneOf((1e-8,)),
    },
)
