"""The built-in search strategies."""

from __future__ import annotations

from automl_opt.api import StrategySpec
from automl_opt.builtin.strategies import (
    random,
    tpe,
)

SPECS: tuple[StrategySpec, ...] = (
    random.spec,
    tpe.spec,
)
