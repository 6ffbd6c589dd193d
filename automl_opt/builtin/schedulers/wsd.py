"""WSD: warm up linearly, stay at the full rate, then decay to 0 over the end of the run.

Hu et al. 2024, arXiv:2404.06395, section 4.2 (warm-up, stable, decay), with the decays of Hägele et
al. 2024, arXiv:2405.18392, section 3: ``linear``, and ``1-sqrt``, which they found better. The
warm-up counts steps from 1 and the decay is over after the last step, so that no step is lost to a
rate of 0.
"""

from __future__ import annotations

import math

from automl_opt.api import Float, OneOf, SchedulerSpec
from automl_opt.builtin.schedulers.linear_warmup import warm_steps


def factor(step: int, total: int, *, warmup: float, decay: float, shape: str) -> float:
    decay_steps = max(1, round(decay * total))
    decayed = max(0, min(step, total) - (total - decay_steps)) / decay_steps
    if shape == "1-sqrt":
        decayed = math.sqrt(decayed)
    return min((step + 1) / warm_steps(total, warmup), 1 - decayed)


spec = SchedulerSpec(
    name="wsd",
    summary="warms up, stays at the full rate, decays to 0 at the end",
    paper="Hu et al. 2024, arXiv:2404.06395; Hägele et al. 2024, arXiv:2405.18392",
    factor=factor,
    params={
        "warmup": Float(0.01, 0.2, log=True, default=0.05),
        "decay": Float(0.05, 0.6, default=0.2),
        "shape": OneOf(("linear", "1-sqrt"), default="1-sqrt"),
    },
    generalises={"constant": {"warmup": 0.0, "decay": 0.0}},
)
