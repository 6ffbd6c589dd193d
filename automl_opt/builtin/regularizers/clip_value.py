"""Clip by value: cut every gradient value off at *max_value* and its negative.

Mikolov 2012, "Statistical Language Models Based on Neural Networks" (PhD thesis); equals
torch's ``clip_grad_value_``. It changes the direction, which `clip_norm` does not. NaN stays NaN,
so that a diverged trial shows; infinity is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_opt.api import Float, RegularizerSpec

if TYPE_CHECKING:
    from torch import Tensor


def grads(
    grads: Sequence[Tensor], parameters: Sequence[Tensor], *, max_value: float
) -> list[Tensor]:
    return [grad.clamp(-max_value, max_value) for grad in grads]


spec = RegularizerSpec(
    name="clip_value",
    summary="cuts gradient values off at a maximum",
    paper="Mikolov 2012, Statistical Language Models Based on Neural Networks (PhD thesis)",
    grads=grads,
    params={"max_value": Float(1e-3, 10.0, log=True, default=0.5)},
    identity={"max_value": math.inf},
)
