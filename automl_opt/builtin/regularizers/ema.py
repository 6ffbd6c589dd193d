"""EMA: evaluate an average of the weights in which those of each step fade by *decay*.

Polyak & Juditsky 1992, doi:10.1137/0330046, average with equal weights; this is the exponential
form, with TensorFlow's warm-up (``ExponentialMovingAverage(num_updates=…)``): a decay of
``min(decay, (1 + step) / (10 + step))``, so that the first weights do not linger.
"""

from __future__ import annotations

from automl_opt.api import Float, RegularizerSpec


def average(step: int, total: int, *, decay: float) -> float:
    return 1 - min(decay, (1 + step) / (10 + step))


spec = RegularizerSpec(
    name="ema",
    summary="evaluates an exponential moving average of the weights",
    paper="after Polyak & Juditsky 1992, doi:10.1137/0330046; warm-up of TensorFlow's "
    "ExponentialMovingAverage",
    average=average,
    params={"decay": Float(0.9, 0.9999, default=0.999)},
    identity={"decay": 0.0},
)
