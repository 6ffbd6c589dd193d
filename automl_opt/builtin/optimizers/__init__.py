"""The built-in optimizers, from the plainest to the most elaborate."""

from __future__ import annotations

from automl_opt.api import OptimizerSpec
from automl_opt.builtin.optimizers import (
    adadelta,
    adafactor,
    adagrad,
    adam,
    adamax,
    adamw,
    adan,
    ftrl,
    gd,
    lamb,
    lars,
    lion,
    momentum,
    muon,
    nadam,
    nesterov,
    radam,
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
    radam.spec,
    adan.spec,
    lion.spec,
    ftrl.spec,
    lars.spec,
    lamb.spec,
    adafactor.spec,
    muon.spec,
)
