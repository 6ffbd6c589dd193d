"""Exponential decay: fall by the same ratio at every step, down to *final* at the end of the run.

Senior et al. 2013, "An empirical study of learning rates in deep neural networks for speech
recognition" (exponential scheduling). torch asks for the ratio of one step; ours follows from where
the run should end, so that one range fits every budget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Float, SchedulerSpec

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


def factor(step: int, total: int, *, final: float) -> float:
    return float(final ** (step / total))


def twin(optimizer: Optimizer, total: int, *, final: float) -> LRScheduler:
    from torch.optim.lr_scheduler import ExponentialLR

    return ExponentialLR(optimizer, gamma=final ** (1 / total))


spec = SchedulerSpec(
    name="exponential",
    summary="falls by the same ratio at every step",
    paper="Senior et al. 2013, doi:10.1109/ICASSP.2013.6638963",
    factor=factor,
    twin=twin,
    params={"final": Float(1e-4, 0.5, log=True, default=1e-2)},
    generalises={"constant": {"final": 1.0}},
)
