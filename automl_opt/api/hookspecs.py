"""The hooks: what a plugin may implement. Hooks return data; the host calls each plugin alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import pluggy

if TYPE_CHECKING:
    from automl_opt.api.initializer import InitializerSpec
    from automl_opt.api.optimizer import OptimizerSpec
    from automl_opt.api.pruner import PrunerSpec
    from automl_opt.api.regularizer import RegularizerSpec
    from automl_opt.api.scheduler import SchedulerSpec
    from automl_opt.api.strategy import StrategySpec
    from automl_opt.core.result import TrialResult
    from automl_opt.core.spec import StudySpec

PROJECT: Final = "automl_opt"
"""The name of the entry-point group, and the prefix of every hook."""

API_VERSION: Final = 1
"""A plugin module may set ``AUTOML_OPT_API = N``: the least version of this API it needs."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def automl_opt_optimizers() -> Iterable[OptimizerSpec]:
    """Offer optimizers."""


@hookspec
def automl_opt_schedulers() -> Iterable[SchedulerSpec]:
    """Offer learning-rate schedulers."""


@hookspec
def automl_opt_regularizers() -> Iterable[RegularizerSpec]:
    """Offer regularizers."""


@hookspec
def automl_opt_initializers() -> Iterable[InitializerSpec]:
    """Offer initializers."""


@hookspec
def automl_opt_strategies() -> Iterable[StrategySpec]:
    """Offer search strategies."""


@hookspec
def automl_opt_pruners() -> Iterable[PrunerSpec]:
    """Offer pruners."""


@hookspec
def automl_opt_study_started(study: StudySpec) -> None:
    """A study begins, or goes on after an interruption."""


@hookspec
def automl_opt_trial_finished(study: StudySpec, result: TrialResult) -> None:
    """A trial ended, in whatever way; its rows are in the database."""


@hookspec
def automl_opt_study_finished(study: StudySpec, verdict: Any) -> None:
    """The study's budget is spent; *verdict* is the ranking of its arms."""


@hookspec
def automl_opt_commands(cli: Any) -> None:
    """Add commands to the ``automl-opt`` click group."""
