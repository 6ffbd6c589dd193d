"""Max-norm: after each step shorten every unit's incoming weights to *max_norm* where longer.

Srivastava et al. 2014, JMLR 15:1929, section 5.1. A unit is a row of a matrix or an output channel
of a convolution, as torch lays them out; in a transposed convolution, and in an embedding, where
rows are inputs, the inputs. Biases do not count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_opt.api import Float, RegularizerSpec

if TYPE_CHECKING:
    from torch import Tensor


def weights(weights: Sequence[Tensor], lr: float, *, max_norm: float) -> None:
    from torch.linalg import vector_norm

    for weight in weights:
        norm = vector_norm(weight, dim=tuple(range(1, weight.ndim)), keepdim=True)
        weight.mul_((max_norm / norm).clamp(max=1.0))  # a row of zeros: inf, so 1


spec = RegularizerSpec(
    name="max_norm",
    summary="shortens the incoming weights of a unit that are longer than a norm",
    paper="Srivastava et al. 2014, jmlr.org/papers/v15/srivastava14a.html, section 5.1",
    weights=weights,
    params={"max_norm": Float(0.5, 4.0, log=True, default=3.0)},
    identity={"max_norm": math.inf},
)
