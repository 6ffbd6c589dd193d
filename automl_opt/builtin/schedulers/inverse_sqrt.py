"""Inverse square root: warm up linearly to the full rate, then fall with 1 over the root of time.

Vaswani et al. 2017, arXiv:1706.03762, eq. 3, divided by its peak. The warm-up is a fraction of the
run instead of 4000 steps; the default is theirs, 4000 of 100 000. Steps count from 1, as there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from automl_opt.api import Float, SchedulerSpec
from automl_opt.builtin.schedulers.linear_warmup import warm_steps

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


def factor(step: int, total: int, *, warmup: float) -> float:
    time = (step + 1) / warm_steps(total, warmup)
    return time if time < 1 else 1 / math.sqrt(time)


def twin(optimizer: Optimizer, total: int, *, warmup: float) -> LRScheduler:
    """The equation as it is printed, over its value at the end of the warm-up."""
    from torch.optim.lr_scheduler import LambdaLR

    warm = warm_steps(total, warmup)

    def equation_3(number: int) -> float:
        return float(min(number**-0.5, number * warm**-1.5))

    return LambdaLR(optimizer, lambda step: equation_3(step + 1) / equation_3(warm))


spec = SchedulerSpec(
    name="inverse_sqrt",
    summary="warms up, then falls with 1 over the square root of the step",
    paper="Vaswani et al. 2017, arXiv:1706.03762, eq. 3",
    factor=factor,
    twin=twin,
    params={"warmup": Float(0.01, 0.3, log=True, default=0.04)},
)
