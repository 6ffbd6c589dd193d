"""The optimizers of pytorch_optimizer, offered as components; importing this imports no torch."""

from __future__ import annotations

from collections.abc import Iterable

from automl_opt.api import OptimizerSpec, hookimpl
from automl_opt_pytorch_optimizer.table import SPECS


@hookimpl
def automl_opt_optimizers() -> Iterable[OptimizerSpec]:
    yield from SPECS
