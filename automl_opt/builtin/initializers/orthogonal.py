"""Orthogonal: rows or columns of length *gain* at right angles, so that no direction is favoured.

Saxe, McClelland & Ganguli 2014, arXiv:1312.6120, by ``torch.nn.init``: convolution kernels are
taken as a matrix of one row an output channel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_opt.api import Float, InitializerSpec

if TYPE_CHECKING:
    from torch import Generator, Tensor


def init(tensor: Tensor, generator: Generator, *, gain: float) -> None:
    from torch.nn.init import orthogonal_

    orthogonal_(tensor, gain=gain, generator=generator)


def variance(shape: Sequence[int], *, gain: float) -> float:
    """The mean square of a value; there is no spread to it, the lengths are exact."""
    return gain**2 / max(shape[0], math.prod(shape[1:]))


spec = InitializerSpec(
    name="orthogonal",
    summary="rows or columns at right angles, all of one length",
    paper="Saxe, McClelland & Ganguli 2014, arXiv:1312.6120",
    init=init,
    variance=variance,
    params={"gain": Float(0.5, 2.0, log=True, default=1.0)},
)
