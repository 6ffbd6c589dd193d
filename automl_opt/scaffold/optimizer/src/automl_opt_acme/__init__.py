"""Signum: follow the sign of the momentum.

Bernstein et al. 2018, arXiv:1802.04434, Algorithm 2: every weight moves by the learning rate,
whatever the size of its gradient. Unlike there, weights decay by themselves, by the learning rate
times *weight_decay*, as in AdamW; at 0 it is the paper's.

No torch is imported here: tensors bring their own methods, and listing plugins stays instant.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from automl_opt.api import Float, OptimizerSpec, Rule, hookimpl

if TYPE_CHECKING:
    from torch import Tensor


def init(param: Tensor) -> dict[str, Tensor]:
    return {"mean": param.new_zeros(param.shape)}


def update(
    param: Tensor,
    grad: Tensor,
    state: dict[str, Tensor],
    *,
    lr: float,
    beta: float,
    weight_decay: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """New tensors; the inputs stay as they are."""
    mean = beta * state["mean"] + (1 - beta) * grad
    return param - lr * (mean.sign() + weight_decay * param), {"mean": mean}


@hookimpl
def automl_opt_optimizers() -> Iterable[OptimizerSpec]:
    yield OptimizerSpec(
        name="signum",
        summary="steps of one size along the sign of the momentum",
        paper="Bernstein et al. 2018, arXiv:1802.04434, Algorithm 2",
        rule=Rule(init, update, elementwise=True),
        decay="weight_decay",
        params={
            "lr": Float(1e-5, 1e-2, log=True, default=1e-3),
            "beta": Float(0.0, 0.99, default=0.9),
            "weight_decay": Float(1e-6, 1.0, log=True, default=1e-2),
        },
    )
