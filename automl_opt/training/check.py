"""A study tried out before its first trial: what would break every trial is an error at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from automl_opt.api import RegularizerSpec
from automl_opt.core.errors import AutomlOptError, ComponentError
from automl_opt.core.recipe import Part, Recipe
from automl_opt.core.result import Trial
from automl_opt.core.seeds import Seeds
from automl_opt.core.spec import StudySpec
from automl_opt.plugin.catalog import Component
from automl_opt.training.build import TorchBuilder
from automl_opt.training.data import make_splits
from automl_opt.training.live import LiveTrial, Setup
from automl_opt.training.randomness import seeded
from automl_opt.training.task import Task, parameter_count, where


def check(task: Task, spec: StudySpec, setup: Setup, builder: TorchBuilder, probe: Recipe) -> int:
    """Run the task once as a trial would, and build every component the study may choose.

    Args:
        probe: a recipe of the study.

    Returns:
        The number of trainable parameters at *probe*.

    Raises:
        SpecError: model, data, loss and metrics, or one of the components, do not fit.
    """
    seeds = Seeds.of_trial(spec.seed, "probe", 0)
    with _blaming(spec, "task", spec.task):
        splits = make_splits(task, seeds.split, setup.device, setup.dtype)

    def tried(recipe: Recipe) -> LiveTrial:
        trial = Trial(arm="probe", number=0, trial_id=-1, recipe=recipe, seeds=seeds)
        live = LiveTrial(trial, task, splits, setup, builder)
        live.try_once()
        return live

    with _blaming(spec, "task", spec.task):
        live = tried(probe)
    _refuse_shared_weights(task, spec, live, probe)

    for component, part in _candidates(spec, builder, "regularizer"):
        assert isinstance(component.spec, RegularizerSpec)
        needs = component.spec.losses
        if needs and task.loss_name not in needs:
            raise spec.error(
                "[space] regularizer",
                f"{component.id} is made for loss {' or '.join(needs)}, and the task's loss is "
                f"{task.loss_name or 'a function of its own'}",
            )
        with _blaming(spec, "[space] regularizer", component.name):
            tried(replace(probe, regularizers=(part,)))
    for component, part in _candidates(spec, builder, "optimizer"):
        with _blaming(spec, "[space] optimizer", component.name):
            tried(replace(probe, optimizer=part))
    for component, part in _candidates(spec, builder, "scheduler"):
        with _blaming(spec, "[space] scheduler", component.name):
            factor, _ = builder.schedule(part)
            if factor is not None:
                factor(0, live.steps * setup.epochs)
    for component, part in _candidates(spec, builder, "initializer"):
        with _blaming(spec, "[space] initializer", component.name):
            tried(replace(probe, initializer=part))
    return parameter_count(live.model)


def _candidates(
    spec: StudySpec, builder: TorchBuilder, kind: str
) -> Iterator[tuple[Component, Part]]:
    names = spec.components[kind]
    catalog = builder.catalog
    found = catalog.candidates(kind) if names == "all" else [catalog.whole(kind, n) for n in names]
    for component in found:
        yield component, component.part()


def _refuse_shared_weights(task: Task, spec: StudySpec, live: LiveTrial, probe: Recipe) -> None:
    """A trial that goes on with another's weights depends on more than its recipe and seed.

    Frozen weights may be shared: adapters of many trials around one large model.
    """
    with seeded(live.trial.seeds.initialisation, "again"):
        again = task.model(**probe.model)
    if {id(p) for p in live.step.parameters} & {id(p) for p in again.parameters()}:
        raise spec.error(
            "task",
            f"{spec.task}: model(…) returned weights that it had returned before; every trial "
            "needs its own: make them inside the function, or return copy.deepcopy(model)",
        )


@contextmanager
def _blaming(spec: StudySpec, key: str, who: str) -> Iterator[None]:
    try:
        yield
    except ComponentError as error:  # it says who by itself
        raise spec.error(f"[space] {error.kind}", str(error)) from error
    except AutomlOptError as error:
        raise spec.error(key, f"{who}: {error}") from error
    except Exception as error:  # the user's model, loss and metrics, and the plugins' code
        raise spec.error(key, f"{who} fails at its defaults: {where(error)}") from error
