"""The learning rate as it is, from the first step to the last. No paper: the factor is 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import SchedulerSpec

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


def factor(step: int, total: int) -> float:
    return 1.0


def twin(optimizer: Optimizer, total: int) -> LRScheduler:
    from torch.optim.lr_scheduler import ConstantLR

    return ConstantLR(optimizer, factor=1.0, total_iters=total)


spec = SchedulerSpec(
    name="constant",
    summary="the learning rate as it is",
    paper="none: the factor is 1",
    factor=factor,
    twin=twin,
)
