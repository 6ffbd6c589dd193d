"""The built-in regularizers and stabilisers."""

from __future__ import annotations

from automl_opt.api import RegularizerSpec
from automl_opt.builtin.regularizers import (
    clip_norm,
    dropout,
    early_stopping,
    l1,
    l2,
    label_smoothing,
)

SPECS: tuple[RegularizerSpec, ...] = (
    l1.spec,
    l2.spec,
    dropout.spec,
    label_smoothing.spec,
    clip_norm.spec,
    early_stopping.spec,
)
