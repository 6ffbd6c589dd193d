"""He: a variance of ``2 / fan_in``, which keeps signals level through layers with ReLU.

He et al. 2015, arXiv:1502.01852, eq. 10, by ``torch.nn.init``; the paper has the normal
distribution.
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
    fill(tensor, nonlinearity="relu", generator=generator)


def variance(shape: Sequence[int], *, distribution: str) -> float:
    return 2 / math.prod(shape[1:])


spec = InitializerSpec(
    name="he",
    summary="variance 2 / fan_in, for layers with ReLU",
    paper="He et al. 2015, arXiv:1502.01852, eq. 10",
    init=init,
    variance=variance,
    params={"distribution": OneOf(("uniform", "normal"), default="normal")},
)
