"""Polynomial decay: ``(1 - step / total) ** power``, down to 0 at the end of the run.

Chen et al. 2017, arXiv:1606.00915, section 4.1 (the "poly" policy, power 0.9 there). The default is
torch's: a power of 1, which is linear decay. Past the end it stays at 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Float, SchedulerSpec

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


def factor(step: int, total: int, *, power: float) -> float:
    return float((1 - min(step, total) / total) ** power)


def twin(optimizer: Optimizer, total: int, *, power: float) -> LRScheduler:
    from torch.optim.lr_scheduler import PolynomialLR

    return PolynomialLR(optimizer, total_iters=total, power=power)


spec = SchedulerSpec(
    name="polynomial",
    summary="falls to 0 as a power of what is left of the run; linearly by default",
    paper="Chen et al. 2017, arXiv:1606.00915, section 4.1",
    factor=factor,
    twin=twin,
    params={"power": Float(0.5, 4.0, log=True, default=1.0)},
    generalises={"constant": {"power": 0.0}},
)
