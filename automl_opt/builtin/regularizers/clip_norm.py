"""Clip by norm: shorten the gradient of all parameters together to *max_norm* where it is longer.

Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, Algorithm 1, with torch's 1e-6 added to the norm.
A gradient that is not finite makes all of them so: clipping does not hide a diverged trial.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_opt.api import Float, RegularizerSpec

if TYPE_CHECKING:
    from torch import Tensor


def grads(
    grads: Sequence[Tensor], parameters: Sequence[Tensor], *, max_norm: float
) -> list[Tensor]:
    import torch
    from torch.linalg import vector_norm

    if not grads:
        return []
    norm = vector_norm(torch.stack([vector_norm(grad) for grad in grads]))
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    return [scale * grad for grad in grads]


spec = RegularizerSpec(
    name="clip_norm",
    summary="shortens gradients longer than a norm",
    paper="Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, Algorithm 1",
    grads=grads,
    params={"max_norm": Float(0.1, 10.0, log=True, default=1.0)},
    identity={"max_norm": math.inf},
)
