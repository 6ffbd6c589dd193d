"""Cosine annealing: half a cosine from 1 down to *floor* over the run.

Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5, one period as long as the run. Past the end it
stays at the floor, where torch's climbs again.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from automl_opt.api import Float, SchedulerSpec

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


def factor(step: int, total: int, *, floor: float) -> float:
    progress = min(step, total) / total
    return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2


def twin(optimizer: Optimizer, total: int, *, floor: float) -> LRScheduler:
    from torch.optim.lr_scheduler import CosineAnnealingLR

    lr = optimizer.param_groups[0]["lr"]
    return CosineAnnealingLR(optimizer, T_max=total, eta_min=floor * lr)


spec = SchedulerSpec(
    name="cosine",
    summary="half a cosine from the full rate down to a floor",
    paper="Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5",
    factor=factor,
    twin=twin,
    params={"floor": Float(0.0, 0.2, default=0.0)},
    generalises={"constant": {"floor": 1.0}},
)
