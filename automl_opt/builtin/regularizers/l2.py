"""L2: add *strength* / 2 times the sum of the squared weights to the loss (coupled weight decay).

Hoerl & Kennard 1970, "Ridge Regression"; Krogh & Hertz 1991, "A Simple Weight Decay Can Improve
Generalization". The gradient is ``strength * weight``, as with torch's ``weight_decay``, but biases
and norms go free.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_opt.api import Float, RegularizerSpec

if TYPE_CHECKING:
    from torch import Tensor


def loss(
    value: Tensor, weights: Sequence[Tensor], outputs: Tensor, y: Tensor, *, strength: float
) -> Tensor:
    return value + strength / 2 * sum((weight * weight).sum() for weight in weights)


spec = RegularizerSpec(
    name="l2",
    summary="adds half the sum of the squared weights to the loss",
    paper="Hoerl & Kennard 1970, doi:10.1080/00401706.1970.10488634; Krogh & Hertz 1991",
    loss=loss,
    params={"strength": Float(1e-6, 1e-1, log=True, default=1e-4)},
    identity={"strength": 0.0},
)
