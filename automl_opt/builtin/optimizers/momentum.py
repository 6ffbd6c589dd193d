"""SGD with momentum: walk along a decaying sum of the gradients (heavy ball).

Polyak 1964, "Some methods of speeding up the convergence of iteration methods". As in torch the
learning rate multiplies the whole velocity when it is applied, where Polyak multiplies each
gradient as it enters: the two differ only while the learning rate changes.
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
    return param - lr * velocity, {"velocity": velocity}


def twin(parameters: Iterable[Tensor], *, lr: float, momentum: float) -> Optimizer:
    from torch.optim import SGD

    return SGD(parameters, lr=lr, momentum=momentum)


spec = OptimizerSpec(
    name="momentum",
    summary="SGD along a decaying sum of the gradients (heavy ball)",
    paper="Polyak 1964, doi:10.1016/0041-5553(64)90137-5",
    rule=Rule(init, update, elementwise=True),
    twin=twin,
    params={
        "lr": Float(1e-3, 0.5, log=True, default=0.05),
        "momentum": Float(0.5, 0.99, default=0.9),
    },
    generalises={"sgd": {"momentum": 0.0}},
)
