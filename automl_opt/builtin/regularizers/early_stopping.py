"""Early stopping: end the trial after *patience* epochs in a row without a new best.

Prechelt 1998, "Early Stopping — But When?", compares several criteria; this one is the usual
simplification of his UP, which asks for strips of epochs that each end worse. A new best must
undercut the last by more than *min_delta*; a value that is not a number never does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from automl_opt.api import Float, Int, RegularizerSpec


def stop(history: Sequence[float], *, patience: int, min_delta: float) -> bool:
    best, waited = math.inf, 0
    for value in history:
        if value < best - min_delta:
            best, waited = value, 0
        else:
            waited += 1
    return waited >= patience


spec = RegularizerSpec(
    name="early_stopping",
    summary="ends a trial that no longer improves",
    paper="Prechelt 1998, doi:10.1007/3-540-49430-8_3",
    stop=stop,
    params={
        "patience": Int(3, 20, default=10),
        "min_delta": Float(1e-6, 1e-2, log=True, default=1e-4),
    },
    identity={"patience": math.inf},
)
