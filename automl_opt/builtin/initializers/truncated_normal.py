"""Truncated normal: one spread for every layer, with nothing further out than 2 *std*.

Devlin et al. 2019, arXiv:1810.04805, as their code has it (google-research/bert, modeling.py,
``create_initializer``), by ``torch.nn.init``. *std* is that of the normal distribution before the
cut, as there; afterwards the variance is 0.7737 *std*², a standard deviation of 0.8796 *std*. It
does not follow the width of a layer: 0.02 is for BERT's 768 and 1024, and signals die in deep
networks of narrower layers, which is why the range goes far above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from automl_opt.api import Float, InitializerSpec

if TYPE_CHECKING:
    from torch import Generator, Tensor


def init(tensor: Tensor, generator: Generator, *, std: float) -> None:
    from torch.nn.init import trunc_normal_

    trunc_normal_(tensor, std=std, a=-2 * std, b=2 * std, generator=generator)


def variance(shape: Sequence[int], *, std: float) -> float:
    density = math.exp(-2) / math.sqrt(2 * math.pi)  # of the standard normal distribution at 2
    return std**2 * (1 - 4 * density / math.erf(math.sqrt(2)))


spec = InitializerSpec(
    name="truncated_normal",
    summary="normal with one spread for every layer, cut at 2 std: variance 0.774 · std²",
    paper="Devlin et al. 2019, arXiv:1810.04805 (github.com/google-research/bert, modeling.py)",
    init=init,
    variance=variance,
    params={"std": Float(5e-3, 0.5, log=True, default=0.02)},
)
