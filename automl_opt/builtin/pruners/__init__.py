"""The built-in pruners."""

from __future__ import annotations

from automl_opt.api import PrunerSpec
from automl_opt.builtin.pruners import (
    hyperband,
    median,
    milestones,
    none,
    successive_halving,
)

SPECS: tuple[PrunerSpec, ...] = (
    none.spec,
    median.spec,
    successive_halving.spec,
    hyperband.spec,
    milestones.spec,
)
