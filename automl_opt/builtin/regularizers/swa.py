"""SWA: evaluate the mean of the weights of all steps after the first *start* of the training.

Izmailov et al. 2018, arXiv:1803.05407, Algorithm 1. They average at the end of each cycle of a
cyclic schedule, or each epoch at a constant learning rate; we take every step in, and leave the
schedule to the recipe: one that ends near 0 leaves little to average.
"""

from __future__ import annotations

from automl_opt.api import Float, RegularizerSpec


def average(step: int, total: int, *, start: float) -> float | None:
    first = int(start * total)
    return None if step < first else 1 / (step - first + 1)


spec = RegularizerSpec(
    name="swa",
    summary="evaluates the mean of the weights over the end of the training",
    paper="Izmailov et al. 2018, arXiv:1803.05407, Algorithm 1",
    average=average,
    params={"start": Float(0.5, 0.95, default=0.75)},
    identity={"start": 1.0},
)
