"""LeCun: a variance of ``1 / fan_in``, which keeps signals level through linear and SELU layers.

LeCun et al. 1998, "Efficient BackProp", eq. 16, who leave the distribution open; Klambauer et al.
2017, arXiv:1706.02515, for SELU, with the normal distribution. By ``torch.nn.init``, whose gain for
SELU is another: it has 9 / 16 of this variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_opt.api import InitializerSpec, OneOf

if TYPE_CHECKING:
    from torch import Generator, Tensor


def init(tensor: Tensor, generator: Generator, *, distribution: str) -> None:
    from torch.nn.init import kaiming_normal_, kaiming_uniform_

    fill = {"uniform": kaiming_uniform_, "normal": kaiming_normal_}[distribution]
    fill(tensor, nonlinearity="linear", generator=generator)  # "linear": a gain of 1


def variance(shape: Sequence[int], *, distribution: str) -> float:
    return 1 / math.prod(shape[1:])


spec = InitializerSpec(
    name="lecun",
    summary="variance 1 / fan_in, for linear and SELU layers",
    paper="LeCun et al. 1998, doi:10.1007/3-540-49430-8_2, eq. 16; Klambauer et al. 2017, "
    "arXiv:1706.02515",
    init=init,
    variance=variance,
    params={"distribution": OneOf(("uniform", "normal"), default="normal")},
)
