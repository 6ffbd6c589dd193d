"""Step decay: multiply the learning rate by *gamma* after every *fraction* of the run.

He et al. 2016, arXiv:1512.03385, section 3.4 (divided by 10 where the error stops falling); the
default drops at 30, 60 and 90 %, as is usual on ImageNet. torch counts steps where we count
fractions of the run, so that one range fits every budget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Float, SchedulerSpec

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


def steps_between(total: int, fraction: float) -> int:
    return max(1, round(fraction * total))


def factor(step: int, total: int, *, fraction: float, gamma: float) -> float:
    return float(gamma ** (step // steps_between(total, fraction)))


def twin(optimizer: Optimizer, total: int, *, fraction: float, gamma: float) -> LRScheduler:
    from torch.optim.lr_scheduler import StepLR

    return StepLR(optimizer, step_size=steps_between(total, fraction), gamma=gamma)


spec = SchedulerSpec(
    name="step",
    summary="drops by a factor after every fraction of the run",
    paper="He et al. 2016, arXiv:1512.03385, section 3.4",
    factor=factor,
    twin=twin,
    params={
        "fraction": Float(0.1, 0.5, default=0.3),
        "gamma": Float(0.05, 0.7, log=True, default=0.1),
    },
    generalises={"constant": {"gamma": 1.0}},
)
