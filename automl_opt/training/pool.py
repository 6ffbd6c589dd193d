"""The pool: an engine whose slots lie in worker processes, one or more in each."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from automl_opt.core.errors import AutomlOptError
from automl_opt.core.recipe import Recipe
from automl_opt.core.result import EpochReport, Status, Trial, TrialResult
from automl_opt.core.spec import StudySpec
from automl_opt.training.build import TorchBuilder
from automl_opt.training.checkpoint import Place
from automl_opt.training.engine import Engine, find_device, open_engine
from automl_opt.training.plain import How
from automl_opt.training.task import Task
from automl_opt.training.worker import Order, Reply, components_of, serve, unsendable

MOST_DEATHS = 3
"""So often may the process of a trial die before the trial counts as failed."""


class WorkersDie(AutomlOptError):
    """Worker processes end before they are ready. The command line exits with 1."""

    exit_code = 1


@dataclass
class _Worker:
    """A process and what is known of it.

    Args:
        busy: it was told something that it has not answered; at first, to be ready.
        deaths: how often it ended before it was ready, one after the other.
    """

    order: Order
    process: BaseProcess
    pipe: Connection
    busy: bool = True
    ready: bool = False
    deaths: int = 0
    trials: list[Trial] = field(default_factory=list)

    @property
    def free(self) -> int:
        return 0 if self.busy else self.order.slots - len(self.trials)


class PoolEngine:
    """See :class:`automl_opt.training.engine.Engine` for what the methods promise.

    Workers do not wait for each other: which trial is reported first is a matter of time. One that
    dies is replaced, and its trials are :meth:`lost`; a trial whose process has died three times
    is reported as failed.

    Args:
        orders: one a worker.
        device: for the records.
    """

    def __init__(self, orders: Sequence[Order], device: str) -> None:
        self._device = device
        self._deaths: Counter[int] = Counter()  # by trial id, as the next two
        self._last: dict[int, EpochReport] = {}
        self._left: dict[int, TrialResult] = {}  # ended in their worker, not retired yet
        self._lost: list[Trial] = []
        self._untold: list[EpochReport] = []  # of trials that are given up
        self._workers: list[_Worker] = []
        for order in orders:
            self._workers.append(_Worker(order, *_start(order)))

    @property
    def free(self) -> int:
        return sum(worker.free for worker in self._workers)

    @property
    def live(self) -> tuple[Trial, ...]:
        given_up = [report.trial for report in self._untold]
        return (*(trial for worker in self._workers for trial in worker.trials), *given_up)

    @property
    def resting(self) -> tuple[Trial, ...]:
        return tuple(t for worker in self._workers if not worker.busy for t in worker.trials)

    @property
    def device(self) -> str:
        return self._device

    def admit(self, trial: Trial, checkpoint: Place | None = None) -> int:
        worker = max(self._workers, key=lambda each: each.free)
        assert worker.free, "every slot is taken"
        worker.trials.append(trial)
        return self._ask(worker, "admit", trial, checkpoint) or 0

    def how(self, trial: Trial) -> How:
        worker = self._worker_of(trial)
        how = worker and self._ask(worker, "how", trial.trial_id)
        return how if isinstance(how, How) else How("plain")

    def advance(self) -> list[EpochReport]:
        for worker in self._workers:
            if worker.trials and not worker.busy:
                self._tell(worker, "advance")
        return self._reports()

    def finish(self) -> list[EpochReport]:
        reports: list[EpochReport] = []
        while any(worker.busy and worker.trials for worker in self._workers) or self._untold:
            reports += self._reports()
        return reports

    def lost(self) -> list[Trial]:
        lost, self._lost = self._lost, []
        return lost

    def save(self, trial: Trial, checkpoint: Place) -> bool:
        worker = self._worker_of(trial)
        return bool(worker and self._ask(worker, "save", trial.trial_id, checkpoint))

    def retire(self, trial: Trial, status: Status | None = None) -> TrialResult:
        result = self._left.pop(trial.trial_id, None)
        last = self._last.pop(trial.trial_id)
        del self._deaths[trial.trial_id]
        if status is None:
            assert result is not None, f"{trial} is in training"
            return result
        if worker := self._worker_of(trial):
            worker.trials.remove(trial)
            self._ask(worker, "retire", trial.trial_id, status)
        # its worker may be gone: what is needed of it is in the last report
        self._lost = [each for each in self._lost if each is not trial]
        self._untold = [each for each in self._untold if each.trial is not trial]
        return TrialResult(
            trial=trial,
            status=status,
            value=None if status.is_failure else last.value,
            epochs=last.epoch,
            reason=last.reason,
        )

    def close(self) -> None:
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()

    def _worker_of(self, trial: Trial) -> _Worker | None:
        return next((each for each in self._workers if trial in each.trials), None)

    def _tell(self, worker: _Worker, method: str, *arguments: Any) -> None:
        worker.busy = True
        with suppress(OSError):  # it is gone, which is found out when the answer is read
            worker.pipe.send((method, arguments))

    def _ask(self, worker: _Worker, method: str, *arguments: Any) -> Any:
        """The answer of a worker that is at rest; ``None`` where it dies over it."""
        self._tell(worker, method, *arguments)
        return self._answer(worker)

    def _answer(self, worker: _Worker) -> Any:
        try:
            reply: Reply = worker.pipe.recv()
        except (EOFError, OSError):
            self._died(worker)
            return None
        worker.busy = False
        for category, text in reply.warned:
            warnings.warn(text, category, stacklevel=2)
        if isinstance(reply.value, Exception):
            raise reply.value
        return reply.value

    def _reports(self) -> list[EpochReport]:
        """What has been reported; where nothing has, wait until a worker says something."""
        reports, self._untold = self._untold, []
        busy = {worker.pipe: worker for worker in self._workers if worker.busy}
        if busy:
            for pipe in wait(list(busy), timeout=0 if reports else None):
                assert isinstance(pipe, Connection)
                reports += self._received(busy[pipe])
        return reports

    def _received(self, worker: _Worker) -> list[EpochReport]:
        if not worker.ready:
            self._answer(worker)
            if not worker.busy:  # else it died, and another is on its way
                worker.ready, worker.deaths = True, 0
            return []
        reports = []
        for report, result in self._answer(worker) or ():
            own = next(t for t in worker.trials if t.trial_id == report.trial.trial_id)
            self._last[own.trial_id] = replace(report, trial=own)
            reports.append(self._last[own.trial_id])
            if result is not None:
                self._left[own.trial_id] = replace(result, trial=own)
                worker.trials.remove(own)
        return reports

    def _died(self, worker: _Worker) -> None:
        """Put another process in its place; its trials are lost, or are given up."""
        worker.process.join()
        worker.pipe.close()
        how = _ending(worker.process.exitcode)
        if not worker.ready:
            worker.deaths += 1
            if worker.deaths >= MOST_DEATHS:
                raise WorkersDie(
                    f"a worker process died {worker.deaths} times before it was ready, the last "
                    f"time by {how}"
                )
        for trial in worker.trials:
            self._deaths[trial.trial_id] += 1
            if self._deaths[trial.trial_id] < MOST_DEATHS:
                self._lost.append(trial)
            else:
                self._give_up(trial, how)
        worker.process, worker.pipe = _start(worker.order)
        worker.busy, worker.ready, worker.trials = True, False, []

    def _give_up(self, trial: Trial, how: str) -> None:
        last = self._last.get(trial.trial_id)
        epoch = last.epoch if last else 0
        reason = f"its worker process died {MOST_DEATHS} times, the last time by {how}"
        report = EpochReport(
            trial=trial,
            epoch=epoch,
            value=None,
            measurements=(),
            seconds=0.0,
            status=Status.FAILED,
            reason=reason,
        )
        self._last[trial.trial_id] = report
        self._untold.append(report)
        self._left[trial.trial_id] = TrialResult(
            trial=trial, status=Status.FAILED, value=None, epochs=epoch, reason=reason
        )


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

    On a machine with several GPUs they take turns unless *spec* names one. On a CPU each has one
    thread where *spec* does not say.

    Args:
        memory: as for :func:`automl_opt.training.engine.open_engine`; beside it, a file a worker.
        given: whether *task* is an object of the caller's that the study file does not name.

    Raises:
        SpecError: as there.
        TaskError: the task is an object and cannot be sent to another process.
    """
    if spec.workers == 1:
        return open_engine(task, spec, builder, probe, slots=slots, memory=memory)
    device = find_device(spec)
    if device.type == "cpu" and spec.threads is None:
        spec = replace(spec, threads=1)
    open_engine(task, spec, builder, probe)  # what is wrong with them is wrong with every worker's
    try:
        pickled = pickle.dumps(task) if given else None
    except Exception as error:  # whatever an object's own methods raise
        raise unsendable(error) from error
    devices = [spec.device] * spec.workers
    if spec.device in ("auto", "cuda") and device.type == "cuda":
        devices = [f"cuda:{n % torch.cuda.device_count()}" for n in range(spec.workers)]
    share, more = divmod(slots, spec.workers)
    orders = [
        Order(
            spec=replace(spec, device=own),
            task=pickled,
            components=components_of(builder.catalog),
            probe=probe,
            slots=share + (number < more),
            memory=memory.with_stem(f"{memory.stem}-{number}"),
        )
        for number, own in enumerate(devices)
    ]
    return PoolEngine(orders, device.type if len(set(devices)) > 1 else str(device))


def _start(order: Order) -> tuple[BaseProcess, Connection]:
    """A process that shares neither threads nor CUDA's state with this one.

    Where there is a fork server, it has imported all that takes seconds, and a worker has it from
    there.
    """
    ways = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in ways else "spawn")
    context.set_forkserver_preload(["automl_opt.training.worker"])
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, order))
    process.start()
    there.close()
    return process, here


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name}, as when memory runs out" if name == "SIGKILL" else name
