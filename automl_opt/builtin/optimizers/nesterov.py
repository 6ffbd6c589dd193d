"""SGD with Nesterov's momentum: the velocity, looked at one step ahead.

Nesterov 1983, "A method for solving the convex programming problem with convergence rate O(1/k²)";
in the form of Sutskever et al. 2013, eq. 3–4, rewritten as torch does around the point where the
gradient is taken, with a constant momentum.
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
    return {"velocity": param.new_zeros(param.shape)}


def update(
    param: Tensor, grad: Tensor, state: State, *, lr: Number, momentum: Number
) -> tuple[Tensor, State]:
    velocity = momentum * state["velocity"] + grad
    return param - lr * (grad + momentum * velocity), {"velocity": velocity}


def twin(parameters: Iterable[Tensor], *, lr: float, momentum: float) -> Optimizer:
    from torch.optim import SGD

    return SGD(parameters, lr=lr, momentum=momentum, nesterov=True)


spec = OptimizerSpec(
    name="nesterov",
    summary="SGD with Nesterov's look-ahead momentum",
    paper="Nesterov 1983; Sutskever et al. 2013, proceedings.mlr.press/v28/sutskever13.html",
    rule=Rule(init, update, elementwise=True),
    twin=twin,
    params={
        "lr": Float(1e-3, 0.5, log=True, default=0.05),
        "momentum": Float(0.5, 0.99, default=0.9),
    },
    generalises={"sgd": {"momentum": 0.0}},
)
