"""Gradient descent: walk against the gradient of the whole training set.

Cauchy 1847, "Méthode générale pour la résolution des systèmes d'équations simultanées". One step an
epoch, so its learning rates reach higher than those of mini-batches; no line search, unlike Cauchy.
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
    name="gd",
    summary="gradient descent on the whole training set at every step",
    paper="Cauchy 1847",
    rule=Rule(init, update, elementwise=True),
    full_batch=True,
    twin=twin,
    params={"lr": Float(1e-2, 3.0, log=True, default=0.3)},
)
