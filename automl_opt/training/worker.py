"""A worker: an engine of its own, somewhere else, that does what the study's process tells it."""

from __future__ import annotations

import io
import pickle
import socket
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from automl_opt.core.errors import AutomlOptError, PluginError, TaskError
from automl_opt.core.recipe import Recipe
from automl_opt.core.result import EpochReport, Status, Trial, TrialResult
from automl_opt.core.spec import StudySpec
from automl_opt.plugin.catalog import Catalog
from automl_opt.plugin.host import load_host
from automl_opt.training.build import TorchBuilder
from automl_opt.training.engine import Engine, open_engine
from automl_opt.training.plain import How
from automl_opt.training.task import Task, load_task

Components = frozenset[tuple[str, str, int]]
"""Kind, id and version of everything a catalogue offers."""


@dataclass(frozen=True)
class Order:
    """What a worker is made from.

    Args:
        spec: with its direction settled; *device* and *threads* are the worker's own.
        task: pickled; ``None``: the one that *spec* names.
        components: what the study's process has: the worker has to find the same.
        versions: of what decides the bits of a trial: the worker has to have the same.
        probe, slots, memory: as for :func:`automl_opt.training.engine.open_engine`.
    """

    spec: StudySpec
    task: bytes | None
    components: Components
    versions: Mapping[str, str]
    probe: Recipe
    slots: int
    memory: Path | None


@dataclass(frozen=True)
class Reply:
    """What a worker sends back, with the warnings that were given meanwhile."""

    value: Any
    warned: tuple[tuple[type[Warning], str], ...] = ()


class WorkersDiffer(AutomlOptError):
    """A worker has other versions than the study's process."""


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("automl-opt", "torch", "numpy")}


def components_of(catalog: Catalog) -> Components:
    return frozenset((c.kind, c.id, c.spec.version) for c in catalog.components())


class Worker:
    """Answers its methods' names and arguments; an error is an answer, and the worker goes on.

    Trials are named by their ids: what is sent here is a copy.
    """

    _engine: Engine

    def do(self, method: str, arguments: Sequence[Any]) -> Reply:
        with warnings.catch_warnings(record=True) as caught:
            try:
                value = getattr(self, method)(*arguments)
            except Exception as error:
                value = _sendable(error)
        return Reply(value, tuple((each.category, str(each.message)) for each in caught))

    def open(self, order: Order) -> None:
        """The first thing that a worker is told."""
        self._engine = _open(order)

    def admit(self, trial: Trial, checkpoint: str | bytes | None) -> int:
        place = io.BytesIO(checkpoint) if isinstance(checkpoint, bytes) else checkpoint
        return self._engine.admit(trial, place)

    def how(self, trial_id: int) -> How:
        return self._engine.how(self._trial(trial_id))

    def advance(self) -> list[tuple[EpochReport, TrialResult | None]]:
        """An epoch; who has finished leaves, and has the result beside the report."""
        return [
            (report, self._engine.retire(report.trial) if report.finished else None)
            for report in self._engine.advance()
        ]

    def save(self, trial_id: int, checkpoint: str) -> bool:
        return self._engine.save(self._trial(trial_id), checkpoint)

    def packed(self, trial_id: int) -> bytes:
        """A checkpoint to be sent."""
        buffer = io.BytesIO()
        self._engine.save(self._trial(trial_id), buffer)
        return buffer.getvalue()

    def retire(self, trial_id: int, status: Status) -> None:
        self._engine.retire(self._trial(trial_id), status)

    def _trial(self, trial_id: int) -> Trial:
        return next(trial for trial in self._engine.live if trial.trial_id == trial_id)


def _open(order: Order) -> Engine:
    if (mine := versions()) != order.versions:
        name = min(name for name in mine if mine[name] != order.versions[name])
        raise WorkersDiffer(
            f"a worker on {socket.gethostname()} has {name} {mine[name]}, the study's process "
            f"{order.versions[name]}; the trials would not be those of one machine"
        )
    host = load_host(allow={plugin_id.split(".")[0] for _, plugin_id, _ in order.components})
    found = components_of(host.catalog)
    if found != order.components:
        kind, name, version = min(found ^ order.components)
        raise PluginError(
            f"workers have the installed plugins alone, and {kind} {name} (version "
            f"{version}) is {'only there' if (kind, name, version) in found else 'not there'}; "
            "install the plugin, or run with workers = 1"
        )
    return open_engine(
        load_task(order.spec) if order.task is None else _unpickled(order.task),
        order.spec,
        TorchBuilder(host.catalog),
        order.probe,
        slots=order.slots,
        memory=order.memory,
    )


def unsendable(error: Exception) -> TaskError:
    return TaskError(
        f"the task cannot be sent to workers: {error}; name it in the study file "
        '(task = "file.py:function"), or run with workers = 1'
    )


def _unpickled(task: bytes) -> Task:
    try:
        found: Task = pickle.loads(task)
    except Exception as error:  # the module of its model may not be there
        raise unsendable(error) from error
    return found


def _sendable(error: Exception) -> Exception:
    """*error*, or its traceback as text where it cannot be sent or read again."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever the constructor of a user's exception raises
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
