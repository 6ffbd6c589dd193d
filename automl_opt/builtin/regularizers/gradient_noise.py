"""Gradient noise: add normal noise of standard deviation *std* to every gradient value.

Neelakantan et al. 2015, arXiv:1511.06807, eq. 1, with their decay gamma at 0: they let the
variance fall as ``eta / (1 + t)^gamma`` and prefer that to a fixed one, but a hook on gradients is
not told the step. As noise reaches the weights times the learning rate, a schedule that ends low
lets it fall too. *std* is the root of their eta. Drawn from torch's global generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_opt.api import Float, RegularizerSpec

if TYPE_CHECKING:
    from torch import Tensor


def grads(grads: Sequence[Tensor], parameters: Sequence[Tensor], *, std: float) -> list[Tensor]:
    import torch

    return [grad + std * torch.randn_like(grad) for grad in grads]


spec = RegularizerSpec(
    name="gradient_noise",
    summary="adds normal noise to the gradients",
    paper="Neelakantan et al. 2015, arXiv:1511.06807, eq. 1",
    grads=grads,
    params={"std": Float(1e-4, 1.0, log=True, default=1e-2)},
    identity={"std": 0.0},
)
