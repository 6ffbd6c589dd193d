"""FTRL-Proximal: the minimiser of all linearised losses so far, near the past weights, with an L1.

McMahan et al. 2013, "Ad Click Prediction: a View from the Trenches", Algorithm 1, with
``lambda2 = 0``: an L2 penalty is a regularizer's business. The paper keeps ``z``, from which the
weights follow; ``z`` is ``pull - param / rate``, where ``pull`` is ``z`` clipped to ``[-l1, l1]``,
and we keep ``pull``. Three things follow:

- training may start from any weights; the paper's start at 0, which no hidden layer survives.
  From 0 the two agree; from elsewhere ``z`` starts at ``-param / rate``, and the first step takes
  ``rate * l1`` off each weight.
- the learning rate may change: the paper's ``sigma`` is then, as it derives it, the difference of
  successive ``1 / rate``, which ``param`` holds exactly.
- a learning rate of 0, where ``z`` is infinite, leaves the weights where they are.

The penalty stands once in the sum, not once a step: a weight that would cross 0 by less than
``2 * rate * l1`` stops there, and stays until gradients have pushed ``z`` out of ``[-l1, l1]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Float, OneOf, OptimizerSpec, Rule

if TYPE_CHECKING:
    from torch import Tensor

    from automl_opt.builtin.types import Number, State

SMALLEST_LR = 1e-20
"""What a schedule's 0 becomes: nothing moves, and nothing is divided by 0 in float32 either."""


def init(param: Tensor) -> State:
    return {"total": param.new_zeros(param.shape), "pull": param.new_zeros(param.shape)}


def coefficients(t: int, *, lr: float, beta: float, l1: float) -> dict[str, float]:
    return {"lr": max(lr, SMALLEST_LR), "beta": beta, "l1": l1}


def update(
    param: Tensor, grad: Tensor, state: State, *, lr: Number, beta: Number, l1: Number
) -> tuple[Tensor, State]:
    total = state["total"].addcmul(grad, grad)
    rate = lr / (total.sqrt() + beta)
    pull = state["pull"] + grad
    z = pull - param / rate
    at_zero = z.abs() <= l1
    clipped = z.where(at_zero, l1 * z.sign())
    param = (param - rate * (pull - clipped)).masked_fill(at_zero, 0.0)
    return param, {"total": total, "pull": clipped}


spec = OptimizerSpec(
    name="ftrl",
    summary="AdaGrad's steps with an L1 penalty that makes weights exactly 0",
    paper="McMahan et al. 2013, doi:10.1145/2487575.2488200, Algorithm 1",
    rule=Rule(init, update, coefficients, elementwise=True),
    params={
        "lr": Float(1e-2, 1.0, log=True, default=0.3),
        "beta": OneOf((1.0,)),
        # at 1 every weight of a small network is 0 within a few epochs, and none comes back
        "l1": Float(1e-5, 0.1, log=True, default=1e-3),
    },
    generalises={"adagrad": {"l1": 0.0, "beta": 1e-10}},
)
