"""Reduce on plateau: multiply the rate by *gamma* once the loss has not improved for a while.

Senior et al. 2013, "An empirical study of learning rates in deep neural networks for speech
recognition" (performance scheduling), with the rules of torch's ReduceLROnPlateau: an improvement
is relative, ``metric < best * (1 - threshold)``, and the epoch after *patience* bad ones reduces.
No lower bound, and no change too small to make (torch's eps).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from automl_opt.api import Float, Int, SchedulerSpec

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import ReduceLROnPlateau


def observe(
    metric: float,
    state: dict[str, float] | None,
    *,
    gamma: float,
    patience: int,
    threshold: float,
) -> dict[str, float]:
    if state is None:
        state = {"factor": 1.0, "best": math.inf, "bad_epochs": 0}
    if metric < state["best"] * (1 - threshold):
        return {**state, "best": metric, "bad_epochs": 0}
    if state["bad_epochs"] < patience:
        return {**state, "bad_epochs": state["bad_epochs"] + 1}
    return {**state, "factor": state["factor"] * gamma, "bad_epochs": 0}


def twin(
    optimizer: Optimizer, total: int, *, gamma: float, patience: int, threshold: float
) -> ReduceLROnPlateau:
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    return ReduceLROnPlateau(
        optimizer, mode="min", factor=gamma, patience=patience, threshold=threshold, eps=0.0
    )


spec = SchedulerSpec(
    name="reduce_on_plateau",
    summary="drops by a factor once the validation loss stops improving",
    paper="Senior et al. 2013, doi:10.1109/ICASSP.2013.6638963",
    observe=observe,
    twin=twin,
    params={
        "gamma": Float(0.1, 0.7, log=True, default=0.1),
        # torch waits 10 epochs, which is the whole of many a trial
        "patience": Int(1, 10, default=3),
        "threshold": Float(1e-5, 1e-2, log=True, default=1e-4),
    },
    generalises={"constant": {"gamma": 1.0}},
)
