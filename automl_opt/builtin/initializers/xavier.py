"""Xavier: a variance of ``gain² · 2 / (fan_in + fan_out)``, to keep signals and gradients level.

Glorot & Bengio 2010, eq. 12 and 16, by ``torch.nn.init``; the paper has the uniform distribution
and no gain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_opt.api import Float, InitializerSpec, OneOf

if TYPE_CHECKING:
    from torch import Generator, Tensor


def init(tensor: Tensor, generator: Generator, *, distribution: str, gain: float) -> None:
    from torch.nn.init import xavier_normal_, xavier_uniform_

    fill = {"uniform": xavier_uniform_, "normal": xavier_normal_}[distribution]
    fill(tensor, gain=gain, generator=generator)


def variance(shape: Sequence[int], *, distribution: str, gain: float) -> float:
    return gain**2 * 2 / ((shape[0] + shape[1]) * math.prod(shape[2:]))


spec = InitializerSpec(
    name="xavier",
    summary="variance gain² · 2 / (fan_in + fan_out)",
    paper="Glorot & Bengio 2010, proceedings.mlr.press/v9/glorot10a.html",
    init=init,
    variance=variance,
    params={
        "distribution": OneOf(("uniform", "normal")),
        "gain": Float(0.5, 2.0, log=True, default=1.0),
    },
)
