"""Delta-orthogonal: an orthogonal matrix at the centre of a convolution kernel, 0 around it.

Xiao et al. 2018, arXiv:1806.05393 (Delta-Orthogonal), with *gain* the root of their σ_w². A
convolution of stride 1 that keeps the size of its input and has no fewer output than input channels
multiplies the length of every signal by *gain*, which with `orthogonal` it does not; fewer outputs,
which the paper leaves out, project. A matrix gets what `orthogonal` gives it. An initializer sees
no groups: a depthwise convolution of n channels comes out small, by 1 over the root of n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_opt.api import Float, InitializerSpec

if TYPE_CHECKING:
    from torch import Generator, Tensor


def init(tensor: Tensor, generator: Generator, *, gain: float) -> None:
    from torch import no_grad
    from torch.nn.init import orthogonal_

    centre = tuple(size // 2 for size in tensor.shape[2:])
    matrix = orthogonal_(tensor.new_empty(tensor.shape[:2]), gain=gain, generator=generator)
    with no_grad():
        tensor.zero_()
        tensor[(slice(None), slice(None), *centre)] = matrix


def variance(shape: Sequence[int], *, gain: float) -> float:
    """The mean square of a value, the zeros around the centre included."""
    return gain**2 / (max(shape[:2]) * math.prod(shape[2:]))


spec = InitializerSpec(
    name="delta_orthogonal",
    summary="an orthogonal matrix at the centre of each kernel, for deep convolutional networks",
    paper="Xiao et al. 2018, arXiv:1806.05393",
    init=init,
    variance=variance,
    params={"gain": Float(0.5, 2.0, log=True, default=1.0)},
)
