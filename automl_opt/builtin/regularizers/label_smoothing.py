"""Label smoothing: move *epsilon* of the target's probability evenly onto all classes.

Szegedy et al. 2016, arXiv:1512.00567, section 7. Written as what it adds to the mean cross-entropy:
``epsilon * (mean over classes of -log p - (-log p of the target))``, in which the logarithm of the
softmax's sum cancels, so that logits suffice. Other terms already in the loss stay as they are.
Equals torch's ``label_smoothing=`` without class weights and without ignored targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_opt.api import Float, RegularizerSpec

if TYPE_CHECKING:
    from torch import Tensor


def loss(
    value: Tensor, weights: Sequence[Tensor], outputs: Tensor, y: Tensor, *, epsilon: float
) -> Tensor:
    """Smooth the mean cross-entropy *value* of the logits *outputs*.

    Args:
        outputs: ``[batch, classes, …]`` or ``[classes]``.
        y: class numbers, ``[batch, …]``; or probabilities, in the shape of *outputs*.
    """
    axis = 1 if outputs.ndim > 1 else 0
    if y.is_floating_point():
        target = (outputs * y).sum(axis)
    else:
        target = outputs.gather(axis, y.unsqueeze(axis)).squeeze(axis)
    return value + epsilon * (target - outputs.mean(axis)).mean()


spec = RegularizerSpec(
    name="label_smoothing",
    summary="moves some of the target's probability onto all classes",
    paper="Szegedy et al. 2016, arXiv:1512.00567, section 7",
    loss=loss,
    losses=("cross_entropy",),
    params={"epsilon": Float(0.01, 0.3, default=0.1)},
    identity={"epsilon": 0.0},
)
