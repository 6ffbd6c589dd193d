"""Multi-step decay: multiply the learning rate by *gamma* at two points of the run.

He et al. 2016, arXiv:1512.03385, section 4.2 (CIFAR-10: divided by 10 at 32 000 and 48 000 of
64 000 steps, whence the defaults). torch counts steps where we count fractions of the run, so that
one range fits every budget. No drop comes before the second step, however short the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Float, SchedulerSpec

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


def milestones(total: int, first: float, second: float) -> list[int]:
    return [max(1, round(fraction * total)) for fraction in (first, second)]


def factor(step: int, total: int, *, first: float, second: float, gamma: float) -> float:
    passed = [step >= milestone for milestone in milestones(total, first, second)]
    return float(gamma ** sum(passed))


def twin(
    optimizer: Optimizer, total: int, *, first: float, second: float, gamma: float
) -> LRScheduler:
    from torch.optim.lr_scheduler import MultiStepLR

    return MultiStepLR(optimizer, milestones=milestones(total, first, second), gamma=gamma)


spec = SchedulerSpec(
    name="multistep",
    summary="drops by a factor at two points of the run",
    paper="He et al. 2016, arXiv:1512.03385, section 4.2",
    factor=factor,
    twin=twin,
    params={
        "first": Float(0.2, 0.6, default=0.5),
        "second": Float(0.6, 0.95, default=0.75),
        "gamma": Float(0.05, 0.7, log=True, default=0.1),
    },
    generalises={"constant": {"gamma": 1.0}},
)
