"""Muon: momentum whose matrices are made nearly orthogonal before they are followed.

Jordan et al. 2024, kellerjordan.github.io/posts/muon, with Nesterov's momentum, the learning rate
times ``sqrt(max(1, rows / columns))`` and decoupled weight decay, as ``torch.optim.Muon`` has them
by default. Unlike both, the orthogonalisation runs in the dtype of the weights: theirs rounds to
bfloat16 whatever it is given, so that torch's agrees to two digits and cannot be a twin. Tensors of
more than two dimensions are the matrix ``[rows, -1]``, as convolutions are in the post. Biases,
scales and other vectors go by our AdamW at ``fallback_ratio * lr``: a ratio, so that a schedule
moves both; they do not decay unless parameter groups say so. The post keeps embeddings and the last
layer from Muon as well, which a rule, seeing one tensor, cannot know.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from automl_opt.api import Float, OneOf, OptimizerSpec, Rule
from automl_opt.builtin.optimizers import adamw

if TYPE_CHECKING:
    from torch import Tensor

    from automl_opt.builtin.types import Number, State

QUINTIC = (3.4445, -4.7750, 2.0315)
"""The post's polynomial: as steep at 0 as goes while [0, 1] stays within some 0.3 of 1."""

ROUNDS = 5
SMALLEST_NORM = 1e-7


def init(param: Tensor) -> State:
    return adamw.init(param) if param.ndim < 2 else {"mean": param.new_zeros(param.shape)}


def coefficients(
    t: int,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    fallback_ratio: float,
    fallback_beta1: float,
    fallback_beta2: float,
    fallback_eps: float,
) -> dict[str, float]:
    fallback = adamw.coefficients(
        t,
        lr=fallback_ratio * lr,
        beta1=fallback_beta1,
        beta2=fallback_beta2,
        weight_decay=weight_decay,
        eps=fallback_eps,
    )
    return {
        "keep": 1 - lr * weight_decay,
        "lr": lr,
        "momentum": momentum,
        "blend": 1 - momentum,
        **{f"fallback_{name}": number for name, number in fallback.items()},
    }


def update(
    param: Tensor,
    grad: Tensor,
    state: State,
    *,
    keep: Number,
    lr: Number,
    momentum: Number,
    blend: Number,
    **numbers: Number,
) -> tuple[Tensor, State]:
    if param.ndim < 2:
        fallback = {name.removeprefix("fallback_"): number for name, number in numbers.items()}
        return adamw.update(param, grad, state, **fallback)
    mean = state["mean"].lerp(grad, blend)
    ahead = grad.lerp(mean, momentum)
    matrix = ahead.reshape(len(ahead), -1)
    rows, columns = matrix.shape
    move = orthogonalise(matrix).reshape(param.shape)
    return keep * param - lr * math.sqrt(max(1, rows / columns)) * move, {"mean": mean}


def orthogonalise(matrix: Tensor) -> Tensor:
    """Push the singular values of *matrix* towards 1, keeping its directions.

    Newton–Schulz iteration with the post's coefficients and number of rounds, in the dtype given.
    Singular values from 0.01 to 1 of the Frobenius norm end between 0.68 and 1.14; 0 stays 0.
    """
    a, b, c = QUINTIC
    rows, columns = matrix.shape
    wide = matrix.mT if rows > columns else matrix  # the products below are rows × rows
    wide = wide / wide.norm().clamp(min=SMALLEST_NORM)
    for _ in range(ROUNDS):
        gram = wide @ wide.mT
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide.mT if rows > columns else wide


spec = OptimizerSpec(
    name="muon",
    summary="momentum, its matrices orthogonalised; AdamW for vectors",
    paper="Jordan et al. 2024, kellerjordan.github.io/posts/muon",
    rule=Rule(init, update, coefficients),
    decay="weight_decay",
    params={
        "lr": Float(5e-3, 0.1, log=True, default=2e-2),
        "momentum": Float(0.8, 0.99, default=0.95),
        "weight_decay": Float(1e-6, 0.3, log=True, default=1e-2),
        "fallback_ratio": Float(5e-3, 1.0, log=True, default=0.1),
        "fallback_beta1": OneOf((0.9,)),
        "fallback_beta2": OneOf((0.95,)),
        "fallback_eps": OneOf((1e-8,)),
    },
)
