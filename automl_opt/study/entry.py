"""The three ways in, from Python: an objective of your own, a task and a study, a plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_opt.core.recipe import Recipe
from automl_opt.core.spec import StudySpec, load_study, parse_study
from automl_opt.plugin.host import Host, load_host
from automl_opt.search import arms, space
from automl_opt.store import Store
from automl_opt.study import runner
from automl_opt.study.confirm import Confirmed, confirm
from automl_opt.study.progress import Progress
from automl_opt.study.ranking import Ranking
from automl_opt.training.build import TorchBuilder
from automl_opt.training.task import Task

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def run_study(
    study: StudySpec | Mapping[str, Any] | str | Path,
    *,
    task: Task | None = None,
    storage: str | None = None,
    host: Host | None = None,
    progress: Progress | None = None,
) -> Ranking:
    """Run a study, or go on with it, and rank its arms.

    Args:
        study: a ``study.toml``, its folder, or a mapping with the same keys.
        task: in place of the one that the study names.
        storage: an SQLAlchemy URL, in place of the study's.

    Raises:
        AutomlOptError: the study cannot run, with the reason; see :func:`runner.run`.
        KeyboardInterrupt: Ctrl-C, after the running epoch was recorded.
    """
    spec = _spec(study, task, "run_study(…)")
    with Store.open(storage or spec.storage) as store:
        outcome = runner.run(
            spec, host=host or load_host(), store=store, task=task, progress=progress
        )
    if outcome.stopped is not None and outcome.stopped.startswith("SIG"):
        raise KeyboardInterrupt(outcome.stopped)
    return outcome.ranking


def confirm_study(
    study: StudySpec | Mapping[str, Any] | str | Path,
    *,
    task: Task | None = None,
    storage: str | None = None,
    host: Host | None = None,
) -> Confirmed:
    """The verdict on the recipes of a study that was run, from common fresh seeds.

    Its ``said`` is what may be said, its ``verdict`` the numbers behind it; what was stopped goes
    on. Arguments as for :func:`run_study`.

    Raises:
        AutomlOptError: there is no verdict, with the reason; see :func:`confirm.confirm`.
        KeyboardInterrupt: Ctrl-C, after the running epoch; every run that ended is kept.
    """
    spec = _spec(study, task, "confirm_study(…)")
    with Store.open(storage or spec.storage, must_exist=True) as store:
        found = confirm(spec, host=host or load_host(), store=store, task=task)
    if found.stopped is not None:
        raise KeyboardInterrupt(found.stopped)
    return found


def _spec(
    study: StudySpec | Mapping[str, Any] | str | Path, task: Task | None, source: str
) -> StudySpec:
    if isinstance(study, StudySpec):
        return study
    if not isinstance(study, Mapping):
        return load_study(study)
    given = {"task": "given:task"} if task is not None else {}
    return parse_study({**given, **study}, source=source)


def sampler(name: str, *, seed: int | None = None, **params: Any) -> BaseSampler:
    """A search strategy as a sampler for an Optuna study of your own.

    Args:
        name: a strategy's id or short name; ``automl-opt plugins list`` shows them.
        params: the strategy's own parameters; its defaults for the rest.

    Raises:
        UnknownComponent: no strategy has this name.
        PluginError: it has no such parameter.
    """
    return arms.sampler(_host().catalog, name, seed, params)


def search_space(
    optimizer: str | Sequence[str],
    *,
    scheduler: str | Sequence[str] = "constant",
    regularizer: str | Sequence[str] = (),
    initializer: str | Sequence[str] = "default",
    batch_size: Any = 32,
    lr_scaling: str | Sequence[str] = "none",
    ranges: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
) -> space.RecipeSpace:
    """A search space for an objective of your own: ``recipe = space.suggest(trial)``.

    A single name is given, a list is chosen from (each regularizer: on or off).

    Args:
        batch_size: a number, a list, or ``{"low": …, "high": …, "log": …}``.
        lr_scaling: how the learning rate follows the batch size: ``none``, ``linear``, ``sqrt``.
        ranges: overrides as in a study file, ``{"optimizer": {"adamw": {"lr": …}}}``.

    Raises:
        SpecError, UnknownComponent: a name or range is not what a component offers.
    """
    catalog = _host().catalog
    return space.own_space(
        catalog,
        builder=TorchBuilder(catalog),
        optimizer=optimizer,
        scheduler=scheduler,
        regularizer=regularizer,
        initializer=initializer,
        batch_size=batch_size,
        lr_scaling=lr_scaling,
        ranges=ranges,
    )


def bind(recipe: Recipe) -> Recipe:
    """*recipe*, read from JSON for example, with parts that build torch objects."""
    return recipe.bound(TorchBuilder(_host().catalog))


@cache
def _host() -> Host:
    """The installed plugins, found once a process: for callers who hold no host of their own."""
    return load_host()
