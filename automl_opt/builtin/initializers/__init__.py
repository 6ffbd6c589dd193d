"""The built-in initializers."""

from __future__ import annotations

from automl_opt.api import InitializerSpec
from automl_opt.builtin.initializers import (
    default,
    he,
    orthogonal,
    xavier,
)

SPECS: tuple[InitializerSpec, ...] = (
    default.spec,
    xavier.spec,
    he.spec,
    orthogonal.spec,
)
