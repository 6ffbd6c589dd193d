"""The built-in initializers."""

from __future__ import annotations

from automl_opt.api import InitializerSpec
from automl_opt.builtin.initializers import (
    default,
    delta_orthogonal,
    he,
    lecun,
    lsuv,
    orthogonal,
    truncated_normal,
    xavier,
)

SPECS: tuple[InitializerSpec, ...] = (
    default.spec,
    xavier.spec,
    he.spec,
    lecun.spec,
    truncated_normal.spec,
    orthogonal.spec,
    delta_orthogonal.spec,
    lsuv.spec,
)
