"""Where a study's trials are trained: in this process, in others beside it, or in a cluster."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import torch

from automl_opt.core.recipe import Recipe
from automl_opt.core.spec import StudySpec
from automl_opt.training.build import TorchBuilder
from automl_opt.training.engine import Engine, open_engine
from automl_opt.training.pool import Executor, PoolEngine
from automl_opt.training.processes import Processes
from automl_opt.training.task import Task
from automl_opt.training.worker import Order, components_of, unsendable, versions

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",  # all of what Ray tells about its nodes and actors
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Ray reads these when it is imported; what the user has set stays."""


def engine_of(
    task: Task,
    spec: StudySpec,
    builder: TorchBuilder,
    probe: Recipe,
    *,
    slots: int,
    memory: Path,
    given: bool,
) -> Engine:
    """The engine of a study: in this process, or in ``spec.workers`` that share *slots*.

    On a CPU each has one thread where *spec* does not say.

    Args:
        memory: as for :func:`automl_opt.training.engine.open_engine`; beside it, a file a worker.
        given: whether *task* is an object of the caller's that the study file does not name.

    Raises:
        SpecError: as there; or there is no Ray, or no cluster of it with room for a worker.
        TaskError: the task is an object and cannot be sent to another process.
    """
    if spec.executor == "processes" and spec.workers == 1:
        return open_engine(task, spec, builder, probe, slots=slots, memory=memory)
    executor = _executor_of(spec)
    try:
        devices = executor.devices(spec)
        if devices[0] == "cpu" and spec.threads is None:
            spec = replace(spec, threads=1)
        # what is wrong with the study is wrong with every worker's
        without_gpu = devices[0] == "cuda" and not torch.cuda.is_available()
        ours = replace(spec, device="cpu" if without_gpu else devices[0])
        open_engine(task, ours, builder, probe)
        try:
            pickled = pickle.dumps(task) if given else None
        except Exception as error:  # whatever an object's own methods raise
            raise unsendable(error) from error
        share, more = divmod(slots, spec.workers)
        own = memory if executor.sees_our_files else None
        orders = [
            Order(
                spec=replace(spec, device=device),
                task=pickled,
                components=components_of(builder.catalog),
                versions=versions(),
                probe=probe,
                slots=share + (number < more),
                memory=own and own.with_stem(f"{own.stem}-{number}"),
            )
            for number, device in enumerate(devices)
        ]
        device = devices[0] if len(set(devices)) == 1 else devices[0].partition(":")[0]
        return PoolEngine(orders, executor, device)
    except BaseException:
        executor.close()
        raise


def _executor_of(spec: StudySpec) -> Executor:
    if spec.executor == "processes":
        return Processes()
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        from automl_opt.training.actors import Actors
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise spec.error(
            "[training] executor", "'ray' needs Ray: pip install 'automl-opt[ray]'"
        ) from error
    return Actors(spec)
