"""Adversarial training: learn as well from inputs moved by *epsilon* in the worst direction.

Goodfellow, Shlens & Szegedy 2015, arXiv:1412.6572, section 6: the fast gradient sign method, half
of the loss on the inputs and half on those moved. *epsilon* is in the units of the inputs, which
are not cut off at the ends of their range, as only the task knows it. A step runs the model twice,
and backwards once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Float, RegularizerSpec

if TYPE_CHECKING:
    from torch import Tensor


def attack(x: Tensor, slope: Tensor, *, epsilon: float) -> Tensor:
    return x + epsilon * slope.sign()


spec = RegularizerSpec(
    name="adversarial",
    summary="learns as well from inputs moved where the loss rises fastest",
    paper="Goodfellow, Shlens & Szegedy 2015, arXiv:1412.6572, section 6",
    attack=attack,
    params={"epsilon": Float(0.01, 0.3, log=True, default=0.03)},
    identity={"epsilon": 0.0},
)
