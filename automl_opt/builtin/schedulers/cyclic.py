"""Cyclic: climb from *base* to the full rate and back in straight lines, *cycles* times.

Smith 2017, arXiv:1506.01186, section 3.1, with its three policies: ``triangular`` repeats the same
cycle, ``triangular2`` halves its height after each, ``exp_range`` lets the height fall by the same
ratio at every step, down to *final* at the end of the run. The paper gives half a cycle in steps
and the ratio of one step; here both follow from the run, so that one range fits every budget. A run
ends where a cycle ends; one of fewer than two steps a cycle has fewer cycles.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from automl_opt.api import Float, Int, OneOf, SchedulerSpec

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


def half_cycle(total: int, cycles: int) -> float:
    """The steps of a climb, or of a fall: at least 1, not always a whole number."""
    return max(1.0, total / (2 * cycles))


def factor(
    step: int, total: int, *, cycles: int, base: float, mode: str, final: float = 1.0
) -> float:
    half = half_cycle(total, cycles)
    cycle = math.floor(1 + step / (2 * half))
    height = max(0.0, 1 - abs(step / half - 2 * cycle + 1))
    if mode == "triangular2":
        height /= 2 ** (cycle - 1)
    elif mode == "exp_range":
        height *= final ** (step / total)
    return base + (1 - base) * height


def twin(
    optimizer: Optimizer,
    total: int,
    *,
    cycles: int,
    base: float,
    mode: str,
    final: float = 1.0,
) -> LRScheduler:
    from torch.optim.lr_scheduler import CyclicLR

    lr = optimizer.param_groups[0]["lr"]
    return CyclicLR(
        optimizer,
        base_lr=base * lr,
        max_lr=lr,
        step_size_up=half_cycle(total, cycles),
        mode=mode,
        gamma=final ** (1 / total),
        cycle_momentum=False,
    )


spec = SchedulerSpec(
    name="cyclic",
    summary="climbs to the full rate and back, several times",
    paper="Smith 2017, arXiv:1506.01186, section 3.1",
    factor=factor,
    twin=twin,
    params={
        # section 3.2: at least 3, better 4 or more; section 3.3: from a third or a quarter
        "cycles": Int(2, 8, default=4),
        "base": Float(0.01, 0.5, log=True, default=0.25),
        "mode": OneOf(("triangular", "triangular2", "exp_range")),
        "final": Float(1e-3, 0.5, log=True, default=0.1, when=("mode", ("exp_range",))),
    },
    generalises={"constant": {"base": 1.0}},
)
