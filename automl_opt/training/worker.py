"""A worker process: an engine of its own that does what the study's process tells it."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import traceback
import warnings
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from automl_opt.core.errors import PluginError, TaskError
from automl_opt.core.recipe import Recipe
from automl_opt.core.result import EpochReport, Status, Trial, TrialResult
from automl_opt.core.spec import StudySpec
from automl_opt.plugin.catalog import Catalog
from automl_opt.plugin.host import load_host
from automl_opt.training.build import TorchBuilder
from automl_opt.training.checkpoint import Place
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
        probe, slots, memory: as for :func:`automl_opt.training.engine.open_engine`.
    """

    spec: StudySpec
    task: bytes | None
    components: Components
    probe: Recipe
    slots: int
    memory: Path


@dataclass(frozen=True)
class Reply:
    """What a worker sends back, with the warnings that were given meanwhile."""

    value: Any
    warned: tuple[tuple[type[Warning], str], ...] = ()


def components_of(catalog: Catalog) -> Components:
    return frozenset((c.kind, c.id, c.spec.version) for c in catalog.components())


def serve(pipe: Connection, order: Order) -> None:
    """Answer ``(method, arguments)`` from *pipe* until it is closed; the first answer is that the
    engine is open. An error is answered as it is, and the worker goes on.
    """
    for each in (signal.SIGINT, signal.SIGTERM):  # they are for the study's process to act on
        signal.signal(each, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout = sys.stderr  # what a task prints must not get between the lines of a --json
    try:
        served = _Served(_open(order))
    except Exception as error:
        pipe.send(Reply(_sendable(error)))
        return
    pipe.send(Reply(None))
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            return
        with warnings.catch_warnings(record=True) as caught:
            try:
                value = getattr(served, method)(*arguments)
            except Exception as error:
                value = _sendable(error)
        pipe.send(Reply(value, tuple((each.category, str(each.message)) for each in caught)))


def _end_with_parent() -> None:
    """A study that was killed leaves no worker behind, not even one in the middle of an epoch."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _open(order: Order) -> Engine:
    host = load_host(allow={plugin_id.split(".")[0] for _, plugin_id, _ in order.components})
    found = components_of(host.catalog)
    if found != order.components:
        kind, name, version = min(found ^ order.components)
        raise PluginError(
            f"worker processes have the installed plugins alone, and {kind} {name} (version "
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
        f"the task cannot be sent to worker processes: {error}; name it in the study file "
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


class _Served:
    """The engine as the pipe has it: trials by their ids."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def admit(self, trial: Trial, checkpoint: Place | None) -> int:
        return self._engine.admit(trial, checkpoint)

    def how(self, trial_id: int) -> How:
        return self._engine.how(self._trial(trial_id))

    def advance(self) -> list[tuple[EpochReport, TrialResult | None]]:
        """An epoch; who has finished leaves, and has the result beside the report."""
        return [
            (report, self._engine.retire(report.trial) if report.finished else None)
            for report in self._engine.advance()
        ]

    def save(self, trial_id: int, checkpoint: Place) -> bool:
        return self._engine.save(self._trial(trial_id), checkpoint)

    def retire(self, trial_id: int, status: Status) -> None:
        self._engine.retire(self._trial(trial_id), status)

    def _trial(self, trial_id: int) -> Trial:
        return next(trial for trial in self._engine.live if trial.trial_id == trial_id)
