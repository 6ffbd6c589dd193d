"""The built-in regularizers and stabilisers."""

from __future__ import annotations

from automl_opt.api import RegularizerSpec
from automl_opt.builtin.regularizers import (
    adaptive_clipping,
    adversarial,
    batch_norm,
    clip_norm,
    clip_value,
    cutmix,
    dropout,
    early_stopping,
    elastic_net,
    ema,
    gradient_noise,
    l1,
    l2,
    label_smoothing,
    max_norm,
    mixup,
    proximal_l1,
    stochastic_depth,
    swa,
)

SPECS: tuple[RegularizerSpec, ...] = (
    l1.spec,
    l2.spec,
    elastic_net.spec,
    proximal_l1.spec,
    max_norm.spec,
    dropout.spec,
    stochastic_depth.spec,
    batch_norm.spec,
    label_smoothing.spec,
    mixup.spec,
    cutmix.spec,
    adversarial.spec,
    clip_norm.spec,
    clip_value.spec,
    adaptive_clipping.spec,
    gradient_noise.spec,
    ema.spec,
    swa.spec,
    early_stopping.spec,
)
