"""Proximal l1: after each step move every weight *lr* · *strength* towards 0, and stop it there.

The proximal step of Duchi & Singer 2009, "Efficient Online and Batch Learning Using Forward
Backward Splitting", section 5.1: soft shrinkage. Against `l1` it makes weights exactly 0. They step
by the plain gradient; behind an optimizer that scales the step of each weight we still shrink all
by the one learning rate, which is then no longer the exact proximal step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_opt.api import Float, RegularizerSpec

if TYPE_CHECKING:
    from torch import Tensor


def weights(weights: Sequence[Tensor], lr: float, *, strength: float) -> None:
    for weight in weights:
        weight.copy_(weight.sign() * (weight.abs() - lr * strength).clamp(min=0.0))


spec = RegularizerSpec(
    name="proximal_l1",
    summary="moves weights towards 0 after each step, and makes the small ones exactly 0",
    paper="Duchi & Singer 2009, jmlr.org/papers/v10/duchi09a.html, section 5.1",
    weights=weights,
    params={"strength": Float(1e-6, 1e-2, log=True, default=1e-4)},
    identity={"strength": 0.0},
)
