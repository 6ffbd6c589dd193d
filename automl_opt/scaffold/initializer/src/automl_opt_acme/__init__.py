"""Sparse initialization: every unit hears only a few of those below it.

Martens 2010, "Deep learning via Hessian-free optimization", section 5: each unit keeps
*connections* incoming weights (15 there), the others start at 0. The values are normal with a
variance of ``gain² / connections``, so that a unit's input has the scale of what it hears; the
paper only says that they are random. Biases keep what their layers chose.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from automl_opt.api import Float, InitializerSpec, Int, hookimpl

if TYPE_CHECKING:
    from torch import Generator, Tensor


def init(tensor: Tensor, generator: Generator, *, connections: int, gain: float) -> None:
    """Fill *tensor*, one row a unit, in place."""
    rows = tensor.flatten(1)
    kept = min(connections, rows.shape[1])
    chosen = rows.new_empty(rows.shape).uniform_(generator=generator).argsort(1)[:, :kept]
    values = rows.new_empty(chosen.shape).normal_(0, gain / math.sqrt(kept), generator=generator)
    tensor.copy_(rows.new_zeros(rows.shape).scatter_(1, chosen, values).view(tensor.shape))


def variance(shape: Sequence[int], *, connections: int, gain: float) -> float:
    """Over all values, zeros included: of one that is kept, times the share of those kept."""
    return gain**2 / math.prod(shape[1:])


@hookimpl
def automl_opt_initializers() -> Iterable[InitializerSpec]:
    yield InitializerSpec(
        name="sparse",
        summary="a few incoming weights for every unit, the others 0",
        paper="Martens 2010, icml.cc/Conferences/2010/papers/458.pdf, section 5",
        init=init,
        variance=variance,
        params={
            "connections": Int(1, 64, log=True, default=15),
            "gain": Float(0.5, 2.0, log=True, default=1.0),
        },
    )
