"""The built-in pruners."""

from __future__ import annotations

from automl_opt.api import PrunerSpec
from automl_opt.builtin.pruners import (
    hyperband,
    median,
    none,
)

SPECS: tuple[PrunerSpec, ...] = (
    none.spec,
    median.spec,
    hyperband.spec,
)
