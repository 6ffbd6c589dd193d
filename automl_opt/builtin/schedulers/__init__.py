"""The built-in learning-rate schedules."""

from __future__ import annotations

from automl_opt.api import SchedulerSpec
from automl_opt.builtin.schedulers import (
    constant,
    cosine,
    exponential,
    linear_warmup,
    reduce_on_plateau,
    step,
    warm_restarts,
)

SPECS: tuple[SchedulerSpec, ...] = (
    constant.spec,
    step.spec,
    exponential.spec,
    cosine.spec,
    warm_restarts.spec,
    linear_warmup.spec,
    reduce_on_plateau.spec,
)
