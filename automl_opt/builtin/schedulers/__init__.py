"""The built-in learning-rate schedules."""

from __future__ import annotations

from automl_opt.api import SchedulerSpec
from automl_opt.builtin.schedulers import (
    constant,
    cosine,
    cyclic,
    exponential,
    inverse_sqrt,
    linear_warmup,
    multistep,
    one_cycle,
    polynomial,
    reduce_on_plateau,
    step,
    warm_restarts,
    warmup,
    wsd,
)

SPECS: tuple[SchedulerSpec, ...] = (
    constant.spec,
    step.spec,
    multistep.spec,
    exponential.spec,
    polynomial.spec,
    cosine.spec,
    warm_restarts.spec,
    cyclic.spec,
    linear_warmup.spec,
    inverse_sqrt.spec,
    one_cycle.spec,
    wsd.spec,
    reduce_on_plateau.spec,
    warmup.spec,
)
