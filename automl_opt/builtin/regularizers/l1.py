"""L1: add *strength* times the sum of the weights' absolute values to the loss.

Tibshirani 1996, "Regression Shrinkage and Selection via the Lasso". The subgradient at 0 is taken
as 0 and no proximal step is made, so weights come near 0 without being exactly 0.
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
    return value + strength * sum(weight.abs().sum() for weight in weights)


spec = RegularizerSpec(
    name="l1",
    summary="adds the sum of the weights' absolute values to the loss",
    paper="Tibshirani 1996, doi:10.1111/j.2517-6161.1996.tb02080.x",
    loss=loss,
    params={"strength": Float(1e-6, 3e-3, log=True, default=1e-5)},
    identity={"strength": 0.0},
)
