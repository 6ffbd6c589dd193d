"""The built-in optimizers, from the plainest to the most elaborate."""

from __future__ import annotations

from automl_opt.api import OptimizerSpec
from automl_opt.builtin.optimizers import (
    adadelta,
    adagrad,
    adam,
    adamax,
    adamw,
    gd,
    momentum,
    nadam,
    nesterov,
    rmsprop,
    sgd,
)

SPECS: tuple[OptimizerSpec, ...] = (
    gd.spec,
    sgd.spec,
    momentum.spec,
    nesterov.spec,
    adagrad.spec,
    adadelta.spec,
    rmsprop.spec,
    adam.spec,
    adamw.spec,
    adamax.spec,
    nadam.spec,
)
