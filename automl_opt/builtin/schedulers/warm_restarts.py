"""SGDR: cosine annealing that starts anew, in cycles each *t_mult* times as long as the last.

Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5 and section 3. The paper gives the length of the
first cycle in epochs; here it follows from how many cycles the run should have, rounded up, so that
no run ends in the high rates of a cycle just begun.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from automl_opt.api import Float, Int, SchedulerSpec

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


def first_cycle(total: int, cycles: int, t_mult: int) -> int:
    """The steps of the first cycle, such that *cycles* of them last at least *total*."""
    return math.ceil(total / sum(t_mult**i for i in range(cycles)))


def factor(step: int, total: int, *, cycles: int, t_mult: int, floor: float) -> float:
    length = first_cycle(total, cycles, t_mult)
    while step >= length:
        step -= length
        length *= t_mult
    return floor + (1 - floor) * (1 + math.cos(math.pi * step / length)) / 2


def twin(
    optimizer: Optimizer, total: int, *, cycles: int, t_mult: int, floor: float
) -> LRScheduler:
    from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

    lr = optimizer.param_groups[0]["lr"]
    length = first_cycle(total, cycles, t_mult)
    return CosineAnnealingWarmRestarts(optimizer, T_0=length, T_mult=t_mult, eta_min=floor * lr)


spec = SchedulerSpec(
    name="warm_restarts",
    summary="cosine annealing that restarts from the full rate",
    paper="Loshchilov & Hutter 2017, arXiv:1608.03983",
    factor=factor,
    twin=twin,
    params={
        "cycles": Int(2, 5, default=3),
        "t_mult": Int(1, 3, default=2),
        "floor": Float(0.0, 0.2, default=0.0),
    },
    generalises={"cosine": {"cycles": 1}, "constant": {"floor": 1.0}},
)
