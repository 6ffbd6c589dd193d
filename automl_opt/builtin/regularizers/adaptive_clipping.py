"""Adaptive clipping: shorten a unit's gradient to *clipping* times the length of its weights.

Brock et al. 2021, arXiv:2102.06171, eq. 3, with their eps of 1e-3 for weights near 0. A unit is a
row of a matrix or a convolution's output channel; a vector or a number is one unit. As in their
code gradients shorter than 1e-6 pass for that long. The paper exempts the last linear layer, which
a gradient does not tell, so here it is clipped too. A gradient that is not finite stays not finite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_opt.api import Float, RegularizerSpec

if TYPE_CHECKING:
    from torch import Tensor


def grads(
    grads: Sequence[Tensor], parameters: Sequence[Tensor], *, clipping: float
) -> list[Tensor]:
    import torch

    clipped = []
    for grad, parameter in zip(grads, parameters, strict=True):
        longest = clipping * _unit_norm(parameter.detach()).clamp(min=1e-3)
        length = _unit_norm(grad).clamp(min=1e-6)
        clipped.append(torch.where(length > longest, grad * (longest / length), grad))
    return clipped


def _unit_norm(tensor: Tensor) -> Tensor:
    from torch.linalg import vector_norm

    if tensor.ndim < 2:
        return vector_norm(tensor)
    return vector_norm(tensor, dim=tuple(range(1, tensor.ndim)), keepdim=True)


spec = RegularizerSpec(
    name="adaptive_clipping",
    summary="shortens a unit's gradient where it is long beside the unit's weights",
    paper="Brock et al. 2021, arXiv:2102.06171, eq. 3",
    grads=grads,
    params={"clipping": Float(1e-3, 1.0, log=True, default=1e-2)},
    identity={"clipping": math.inf},
)
