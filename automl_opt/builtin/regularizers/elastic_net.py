"""Elastic net: add a mixture of the l1 and the l2 penalty of the weights to the loss.

Zou & Hastie 2005, "Regularization and Variable Selection via the Elastic Net", in scikit-learn's
parameters: ``strength * (l1_ratio * sum |w| + (1 - l1_ratio) / 2 * sum w²)``. The naive form: the
paper afterwards rescales the weights of a linear regression, which has no meaning for a network.
As with `l1` the subgradient at 0 is 0, so weights come near 0 without being exactly 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_opt.api import Float, RegularizerSpec

if TYPE_CHECKING:
    from torch import Tensor


def loss(
    value: Tensor,
    weights: Sequence[Tensor],
    outputs: Tensor,
    y: Tensor,
    *,
    strength: float,
    l1_ratio: float,
) -> Tensor:
    return value + strength * sum(
        l1_ratio * weight.abs().sum() + (1 - l1_ratio) / 2 * (weight * weight).sum()
        for weight in weights
    )


spec = RegularizerSpec(
    name="elastic_net",
    summary="adds a mixture of the l1 and the l2 penalty to the loss",
    paper="Zou & Hastie 2005, doi:10.1111/j.1467-9868.2005.00503.x",
    loss=loss,
    params={
        "strength": Float(1e-6, 3e-3, log=True, default=1e-5),
        "l1_ratio": Float(0.0, 1.0, default=0.5),
    },
    identity={"strength": 0.0},
    generalises={"l1": {"l1_ratio": 1.0}, "l2": {"l1_ratio": 0.0}},
)
