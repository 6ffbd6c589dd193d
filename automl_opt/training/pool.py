"""The pool: an engine whose slots lie in workers somewhere else, one or more in each."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from automl_opt.core.errors import AutomlOptError
from automl_opt.core.result import EpochReport, Status, Trial, TrialResult
from automl_opt.core.spec import StudySpec
from automl_opt.training.checkpoint import Place, is_url, put, unusable
from automl_opt.training.plain import How
from automl_opt.training.worker import Order, Reply

MOST_DEATHS = 3
"""So often may the worker of a trial die before the trial counts as failed."""

WAIT_S = 1.0
"""So long at most is an answer waited for, before whoever runs the study may think again."""


class WorkersDie(AutomlOptError):
    """Workers end before they are ready. The command line exits with 1."""

    exit_code = 1


class Gone(Exception):
    """A worker has ended; the text says by what."""


class Link(Protocol):
    """The way to one worker and back."""

    def send(self, method: str, *arguments: Any) -> None:
        """Have it call a method of :class:`automl_opt.training.worker.Worker`.

        That it is gone is no error here: :meth:`answer` says so.
        """

    def answer(self) -> Reply:
        """Wait for the answer to what was sent last; raises :class:`Gone`."""

    def end(self) -> None:
        """End the worker at once, whatever it does."""


class Executor(Protocol):
    """Where workers come from."""

    @property
    def sees_our_files(self) -> bool:
        """Whether a path means the same to a worker as here."""

    def devices(self, spec: StudySpec) -> list[str]:
        """One a worker, as it is called there."""

    def start(self) -> Any:
        """A :class:`Link` to a new worker, which may take its time to come."""

    def wait(self, links: Sequence[Any], timeout: float) -> list[Any]:
        """Those of *links* that have an answer, or none after *timeout* seconds."""

    def close(self) -> None:
        """Let go of everything but the workers."""


@dataclass
class _Worker:
    """A worker and what is known of it.

    Args:
        busy: it was told something that it has not answered; at first, to open its engine.
        deaths: how often it ended before it was ready, one after the other.
    """

    order: Order
    link: Link
    busy: bool = False
    ready: bool = False
    deaths: int = 0
    trials: list[Trial] = field(default_factory=list)

    @property
    def free(self) -> int:
        return 0 if self.busy else self.order.slots - len(self.trials)


class PoolEngine:
    """See :class:`automl_opt.training.engine.Engine` for what the methods promise.

    Workers do not wait for each other: which trial is reported first is a matter of time. One that
    dies is replaced, and its trials are :meth:`lost`; a trial whose worker has died three times
    is reported as failed.

    Args:
        orders: one a worker.
        executor: is closed with this.
        device: for the records.
    """

    def __init__(self, orders: Sequence[Order], executor: Executor, device: str) -> None:
        self._executor, self._device = executor, device
        self._deaths: Counter[int] = Counter()  # by trial id, as the next two
        self._last: dict[int, EpochReport] = {}
        self._left: dict[int, TrialResult] = {}  # ended in their worker, not retired yet
        self._lost: list[Trial] = []
        self._untold: list[EpochReport] = []  # of trials that are given up
        self._workers: list[_Worker] = []
        for order in orders:
            self._workers.append(_Worker(order, executor.start()))
            self._open(self._workers[-1])

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
        sent: Place | bytes | None = checkpoint
        if checkpoint is not None and self._travels(checkpoint):
            try:
                sent = Path(str(checkpoint)).read_bytes()
            except OSError as error:
                warnings.warn(unusable(trial, checkpoint, error), RuntimeWarning, stacklevel=2)
                sent = None
        return self._ask(worker, "admit", trial, sent) or 0

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
        if worker is None:
            return False
        if not self._travels(checkpoint):
            return bool(self._ask(worker, "save", trial.trial_id, checkpoint))
        state = self._ask(worker, "packed", trial.trial_id)
        if state is None:
            return False
        put(Path(str(checkpoint)), lambda file: file.write_bytes(state))
        return True

    def _travels(self, checkpoint: Place) -> bool:
        """Whether the state goes with the messages: the worker does not see the file."""
        return not (self._executor.sees_our_files or is_url(checkpoint))

    def retire(self, trial: Trial, status: Status | None = None) -> TrialResult:
        result = self._left.pop(trial.trial_id, None)
        last = self._last.pop(trial.trial_id, None)
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
            value=None if status.is_failure or last is None else last.value,
            epochs=last.epoch if last else 0,
            reason=last.reason if last else None,
        )

    def close(self) -> None:
        for worker in self._workers:
            worker.link.end()
        self._executor.close()

    def _worker_of(self, trial: Trial) -> _Worker | None:
        return next((each for each in self._workers if trial in each.trials), None)

    def _open(self, worker: _Worker) -> None:
        self._tell(worker, "open", worker.order)

    def _tell(self, worker: _Worker, method: str, *arguments: Any) -> None:
        worker.busy = True
        worker.link.send(method, *arguments)

    def _ask(self, worker: _Worker, method: str, *arguments: Any) -> Any:
        """The answer of a worker that is at rest; ``None`` where it dies over it."""
        self._tell(worker, method, *arguments)
        return self._answer(worker)

    def _answer(self, worker: _Worker) -> Any:
        try:
            reply = worker.link.answer()
        except Gone as error:
            self._died(worker, str(error))
            return None
        worker.busy = False
        for category, text in reply.warned:
            warnings.warn(text, category, stacklevel=2)
        if isinstance(reply.value, Exception):
            raise reply.value
        return reply.value

    def _reports(self) -> list[EpochReport]:
        """What has been reported; where nothing has, wait a little for it."""
        reports, self._untold = self._untold, []
        busy = [worker for worker in self._workers if worker.busy]
        if busy:
            links = [worker.link for worker in busy]
            answered = self._executor.wait(links, timeout=0 if reports else WAIT_S)
            for worker in busy:
                if worker.link in answered:
                    reports += self._received(worker)
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

    def _died(self, worker: _Worker, how: str) -> None:
        """Put another in its place; its trials are lost, or are given up."""
        worker.link.end()
        if not worker.ready:
            worker.deaths += 1
            if worker.deaths >= MOST_DEATHS:
                raise WorkersDie(
                    f"a worker died {worker.deaths} times before it was ready, the last time by "
                    f"{how}"
                )
        for trial in worker.trials:
            self._deaths[trial.trial_id] += 1
            if self._deaths[trial.trial_id] < MOST_DEATHS:
                self._lost.append(trial)
            else:
                self._give_up(trial, how)
        worker.ready, worker.trials = False, []
        worker.link = self._executor.start()
        self._open(worker)

    def _give_up(self, trial: Trial, how: str) -> None:
        last = self._last.get(trial.trial_id)
        epoch = last.epoch if last else 0
        reason = f"its worker died {MOST_DEATHS} times, the last time by {how}"
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
