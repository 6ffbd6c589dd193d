"""One cycle: climb from ``1 / div`` to the full rate, then fall to ``1 / (div * final_div)``.

Smith & Topin 2018, arXiv:1708.07120, in the two phases of torch's OneCycleLR: the paper
climbs and falls in straight lines of one length and ends with a third phase; torch's defaults, and
ours, are a cosine with 30 % of the run for the climb. The learning rate is the peak. The momentum,
which the paper cycles too, stays as it is. The fall is over at the end of the run instead of at its
last step (torch is asked for one step more), so that a run of one step has a climb; past the end
the rate stays, where torch raises.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from automl_opt.api import Float, OneOf, SchedulerSpec
from automl_opt.builtin.schedulers.linear_warmup import warm_steps

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


def factor(
    step: int, total: int, *, warmup: float, div: float, final_div: float, shape: str
) -> float:
    step, peak = min(step, total), warm_steps(total, warmup)
    if step <= peak:
        start, end, progress = 1 / div, 1.0, step / peak
    else:
        start, end, progress = 1.0, 1 / (div * final_div), (step - peak) / (total - peak)
    if shape == "cosine":
        progress = (1 - math.cos(math.pi * progress)) / 2
    return start + (end - start) * progress


def twin(
    optimizer: Optimizer, total: int, *, warmup: float, div: float, final_div: float, shape: str
) -> LRScheduler:
    from torch.optim.lr_scheduler import OneCycleLR

    return OneCycleLR(
        optimizer,
        max_lr=optimizer.param_groups[0]["lr"],
        total_steps=total + 1,
        # torch peaks at step pct_start * total_steps - 1
        pct_start=(warm_steps(total, warmup) + 1) / (total + 1),
        anneal_strategy={"cosine": "cos", "linear": "linear"}[shape],
        cycle_momentum=False,
        div_factor=div,
        final_div_factor=final_div,
    )


spec = SchedulerSpec(
    name="one_cycle",
    summary="climbs to the full rate, then falls far below where it started",
    paper="Smith & Topin 2018, arXiv:1708.07120",
    factor=factor,
    twin=twin,
    params={
        "warmup": Float(0.1, 0.5, default=0.3),
        "div": Float(3.0, 100.0, log=True, default=25.0),
        "final_div": Float(10.0, 1e5, log=True, default=1e4),
        "shape": OneOf(("cosine", "linear")),
    },
    generalises={"constant": {"div": 1.0, "final_div": 1.0}},
)
