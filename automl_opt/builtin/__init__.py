"""The components that ship with automl-opt, offered through the same entry point as anyone's."""

from __future__ import annotations

from collections.abc import Iterable

from automl_opt.api import (
    InitializerSpec,
    OptimizerSpec,
    PrunerSpec,
    RegularizerSpec,
    SchedulerSpec,
    StrategySpec,
    hookimpl,
)
from automl_opt.builtin import (
    initializers,
    optimizers,
    pruners,
    regularizers,
    schedulers,
    strategies,
)


@hookimpl
def automl_opt_optimizers() -> Iterable[OptimizerSpec]:
    yield from optimizers.SPECS


@hookimpl
def automl_opt_schedulers() -> Iterable[SchedulerSpec]:
    yield from schedulers.SPECS


@hookimpl
def automl_opt_regularizers() -> Iterable[RegularizerSpec]:
    yield from regularizers.SPECS


@hookimpl
def automl_opt_initializers() -> Iterable[InitializerSpec]:
    yield from initializers.SPECS


@hookimpl
def automl_opt_strategies() -> Iterable[StrategySpec]:
    yield from strategies.SPECS


@hookimpl
def automl_opt_pruners() -> Iterable[PrunerSpec]:
    yield from pruners.SPECS
