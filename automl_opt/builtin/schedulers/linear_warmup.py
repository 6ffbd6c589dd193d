"""Linear warm-up: climb from *start* to the full rate over the first *fraction*, then stay.

Goyal et al. 2017, arXiv:1706.02677, section 2.2 (gradual warm-up). The length is a fraction of the
run instead of five epochs, and *start* a free number instead of 1 over the number of workers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Float, SchedulerSpec

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


def warm_steps(total: int, fraction: float) -> int:
    return max(1, round(fraction * total))


def factor(step: int, total: int, *, fraction: float, start: float) -> float:
    steps = warm_steps(total, fraction)
    return start + (1 - start) * min(step, steps) / steps


def twin(optimizer: Optimizer, total: int, *, fraction: float, start: float) -> LRScheduler:
    from torch.optim.lr_scheduler import LinearLR

    return LinearLR(optimizer, start_factor=start, total_iters=warm_steps(total, fraction))


spec = SchedulerSpec(
    name="linear_warmup",
    summary="climbs to the full rate, then stays",
    paper="Goyal et al. 2017, arXiv:1706.02677, section 2.2",
    factor=factor,
    twin=twin,
    params={
        "fraction": Float(0.01, 0.3, default=0.1),
        "start": Float(1e-3, 0.5, log=True, default=0.1),
    },
    generalises={"constant": {"start": 1.0}},
)
