"""REX: near the full rate for long, then down ever more steeply.

Chen, Wolfe & Kyrillidis 2021, arXiv:2107.04197 ("REX: Revisiting Budgeted Training with an Improved
Schedule"): with ``z`` for the share of the run that is left, the rate is ``z / (1/2 + z/2)``. Here
the two halves are ``1 - bend`` and ``bend``: 0 is a straight line, 1/2 the paper's.
"""

from __future__ import annotations

from collections.abc import Iterable

from automl_opt.api import Float, SchedulerSpec, hookimpl


def factor(step: int, total: int, *, bend: float) -> float:
    left = 1 - min(step, total) / total
    return left / (1 - bend + bend * left)


@hookimpl
def automl_opt_schedulers() -> Iterable[SchedulerSpec]:
    yield SchedulerSpec(
        name="rex",
        summary="near the full rate for long, then down ever more steeply",
        paper="Chen, Wolfe & Kyrillidis 2021, arXiv:2107.04197",
        factor=factor,
        params={"bend": Float(0.0, 0.9, default=0.5)},
    )
