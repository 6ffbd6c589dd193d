"""Warm-up before another schedule: climb in a straight line to where it begins, then run it.

Goyal et al. 2017, arXiv:1706.02677, section 2.2 (gradual warm-up). The length is a fraction of the
run instead of five epochs, and *start* a free number instead of 1 over the number of workers. What
is wrapped is told of the rest of the run only, so that it ends where it would have; a run of one
step has no warm-up.
"""

from __future__ import annotations

from collections.abc import Callable

from automl_opt.api import Float, SchedulerSpec
from automl_opt.builtin.schedulers.linear_warmup import warm_steps


def wrap(
    factor: Callable[[int, int], float], step: int, total: int, *, fraction: float, start: float
) -> float:
    warm = min(warm_steps(total, fraction), total - 1)
    if step < warm:
        return (start + (1 - start) * step / warm) * factor(0, total - warm)
    return factor(step - warm, total - warm)


spec = SchedulerSpec(
    name="warmup",
    summary="climbs to where the wrapped schedule begins, then runs it",
    paper="Goyal et al. 2017, arXiv:1706.02677, section 2.2",
    wrap=wrap,
    params={
        "fraction": Float(0.01, 0.3, default=0.1),
        "start": Float(1e-3, 0.5, log=True, default=0.1),
    },
)
