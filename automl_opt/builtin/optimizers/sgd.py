"""Stochastic gradient descent: walk against the gradient of a mini-batch.

Robbins & Monro 1951, "A Stochastic Approximation Method". The learning rate falls only if a
schedule makes it; torch's default of 0.001 barely learns, ours is 0.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from automl_opt.api import Float, OptimizerSpec, Rule

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from automl_opt.builtin.types import Number, State


def init(param: Tensor) -> State:
    return {}


def update(param: Tensor, grad: Tensor, state: State, *, lr: Number) -> tuple[Tensor, State]:
    return param - lr * grad, state


def twin(parameters: Iterable[Tensor], *, lr: float) -> Optimizer:
    from torch.optim import SGD

    return SGD(parameters, lr=lr)


spec = OptimizerSpec(
    name="sgd",
    summary="stochastic gradient descent, without momentum",
    paper="Robbins & Monro 1951, doi:10.1214/aoms/1177729586",
    rule=Rule(init, update, elementwise=True),
    twin=twin,
    params={"lr": Float(1e-3, 1.0, log=True, default=0.1)},
)
