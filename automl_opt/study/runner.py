"""Runs a study: asks, trains, records and tells until the budget is spent; resumes likewise."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from automl_opt.core.errors import AutomlOptError, TaskError
from automl_opt.core.result import EpochReport, Status, Trial, TrialResult
from automl_opt.core.spec import StudySpec
from automl_opt.plugin.host import Host
from automl_opt.search.arms import Arms, open_arms, storage_at
from automl_opt.search.space import arms_of
from automl_opt.store import Store
from automl_opt.study import holdings
from automl_opt.study.changes import as_begun, refuse_changes
from automl_opt.study.checkpoints import Checkpoints
from automl_opt.study.claim import (
    at_home,
    claimed,
    forget_measurements,
    is_held,
    memory_of,
)
from automl_opt.study.holdings import Holdings
from automl_opt.study.interrupts import Stop, graceful_stop
from automl_opt.study.progress import Progress
from automl_opt.study.ranking import Ranking, ranking_of
from automl_opt.training.build import TorchBuilder
from automl_opt.training.engine import Engine, environment
from automl_opt.training.executor import engine_of
from automl_opt.training.task import Task, load_task

WAIT_S = 0.5
MOST_SLOTS = 64


class AllTrialsFailed(AutomlOptError):
    """Every trial so far failed: there is nothing to search. The command line exits with 1."""

    exit_code = 1


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run of a study came to.

    Args:
        stopped: why it ended before the budget was spent: a signal's name, ``time limit``, or
            ``None``.
    """

    ranking: Ranking
    stopped: str | None


def run(
    spec: StudySpec,
    *,
    host: Host,
    store: Store,
    task: Task | None = None,
    progress: Progress | None = None,
    join: bool = False,
    memory: Path | None = None,
) -> Outcome:
    """Spend the budget of *spec* and keep every epoch; go on where an earlier run ended.

    Args:
        join: work beside other processes on a study that has begun, with its budget. Without it
            there is one run of a study at a time, which others may join.
        memory: a file of what engines have measured, shared with other studies and left to the
            caller; by default the study's own, which goes when its budget is spent.

    Raises:
        SpecError, TaskError, UnknownComponent: the study cannot start; nothing was changed.
        StudyChanged: the database holds a study of this name that began otherwise.
        StoreError: another run has this study, there is none to join, or the database fails.
        AllTrialsFailed: the first trials of every arm failed.
    """
    given, task = task is not None, task or load_task(spec)
    spec = with_direction(spec, task)
    builder = TorchBuilder(host.catalog)
    spaces = arms_of(spec, host.catalog, task.ranges(spec), builder)
    if join:
        spec = as_begun(spec, spaces, store)
    refuse_changes(spec, spaces, store, host.catalog)
    with (at_home if join else claimed)(spec.name, store):
        probe, places = spaces[0].default(), slots(spec, len(spaces))
        memory = memory or memory_of(spec.name, store, own=join)
        engine = engine_of(task, spec, builder, probe, slots=places, memory=memory, given=given)
        with closing(engine), storage_at(store.url) as storage:
            store.tune(storage.engine)
            arms = open_arms(spec, host.catalog, storage, spaces, shared=join)
            if not join:
                _save_study(spec, arms, store)
            with graceful_stop() as stop, store.heartbeat(holdings.LEASE_S / 4):
                study = _Run(spec, host, store, engine, arms, progress or Progress(), stop)
                stopped = study.spend()
    ranking = ranking_of(store, spec.name)
    if stopped is None:
        host.notify("automl_opt_study_finished", study=spec, verdict=ranking)
    return Outcome(ranking=ranking, stopped=stopped)


def slots(spec: StudySpec, arms: int) -> int:
    """How many trials are in training at a time, one a worker at least.

    For ``auto`` as many as leave every arm at least four in five of its trials to learn from. The
    number is the study's, not the machine's: it decides what a proposal knows.
    """
    together = spec.together
    if not isinstance(together, int):
        together = min(MOST_SLOTS, arms * max(1, spec.trials // 5))
    return max(together, spec.workers)


def with_direction(spec: StudySpec, task: Task) -> StudySpec:
    """*spec* with the metric's own direction where the file names none."""
    try:
        own = task.direction_of(spec.metric)
    except TaskError as error:
        raise spec.error("[objective] metric", str(error)) from error
    return replace(spec, direction=spec.direction or own)


def _save_study(spec: StudySpec, arms: Arms, store: Store) -> None:
    """A row an arm; the settings are the study's, so arms it no longer has are given them too."""
    names = [arm.name for arm in arms.arms]
    settings = json.dumps({**spec.settings(), "arms": names}, sort_keys=True)
    for row in store.studies(spec.name):
        if row.arm not in names:
            store.save_study(
                study_id=row.study_id,
                name=row.name,
                arm=row.arm,
                spec_json=settings,
                space_json=row.space_json,
                space_hash=row.space_hash,
            )
    for arm in arms.arms:
        store.save_study(
            study_id=arm.study_id,
            name=spec.name,
            arm=arm.name,
            spec_json=settings,
            space_json=arm.space.space.to_json(),
            space_hash=arm.space.space.fingerprint(),
        )


@dataclass
class _Live:
    """A trial in training: which attempt it is, how far, and how much of that is safe."""

    attempt: int
    epoch: int
    checkpoint: str | None
    saved_at: float


class _Run:
    """The state of one run."""

    def __init__(
        self,
        spec: StudySpec,
        host: Host,
        store: Store,
        engine: Engine,
        arms: Arms,
        progress: Progress,
        stop: Stop,
    ) -> None:
        self._spec, self._host, self._store = spec, host, store
        self._engine, self._arms, self._progress, self._stop = engine, arms, progress, stop
        self._study_ids = {arm.name: arm.study_id for arm in arms.arms}
        self._checkpoints = Checkpoints(spec, store)
        self._holdings = Holdings(
            spec,
            host.catalog,
            store,
            arms,
            self._checkpoints,
            {**environment(engine.device), **versions()},
            engine.device,
        )
        self._live: dict[int, _Live] = {}  # by trial id
        self._taken: set[int] = set()  # ids of those that others have, still in a slot here
        self._ended: list[Status] = []
        self._noted: set[str] = set()
        self._seconds = 0.0

    def spend(self) -> str | None:
        """Run until the budget is spent; why it stopped before, if it did."""
        arms, engine = self._arms, self._engine
        self._host.notify("automl_opt_study_started", study=self._spec)
        self._recover()
        self._progress.started(self._spec, [arm.name for arm in arms.arms], len(self._ended))
        while True:
            if reason := self._reason_to_stop():
                return self._put_down(reason)
            if arms.shared and self._holdings.look_around():
                self._count_seconds()
            self._fill()
            self._progress.ended_elsewhere(arms.ended_elsewhere)
            if self._live or arms.has_budget():
                self._settle(self._judged(engine.advance()))
                for trial in engine.lost():
                    self._go_back(trial)
            elif others := arms.unfinished():
                self._wait_for(others)
            else:
                break
        self._sweep()
        forget_measurements(self._spec.name, self._store)
        return None

    def _judged(self, reports: Sequence[EpochReport]) -> list[TrialResult]:
        """Take the epochs that were reported; the results of the trials that end with them."""
        ended = []
        for report in sorted(reports, key=self._order):
            if report.trial.trial_id in self._taken:
                self._leave(report.trial)
                continue
            if report.measurements:
                self._store.epoch(report)
            self._live[report.trial.trial_id].epoch = report.epoch
            self._progress.epoch(report)
            self._seconds += report.seconds
            stop = self._arms.should_stop(report)
            if report.finished:
                ended.append(self._engine.retire(report.trial))
            elif stop:
                ended.append(self._engine.retire(report.trial, Status.PRUNED))
        return ended

    def _go_back(self, trial: Trial) -> None:
        """The worker of *trial* died: the trial is to go on from its last checkpoint."""
        self._store.flush()
        self._note_lost()
        if trial.trial_id in self._taken:
            self._forget(trial)
            return
        live = self._live.pop(trial.trial_id)
        self._holdings.put_back(trial, live.checkpoint)
        self._progress.noted(f"{trial}: its worker died after epoch {live.epoch}")

    def _order(self, report: EpochReport) -> tuple[int, int]:
        """Whose turn it is to be judged and told: not a matter of slots, which a resume mixes."""
        return list(self._study_ids).index(report.trial.arm), report.trial.number

    def _recover(self) -> None:
        """Know what earlier runs did, and take over what they left."""
        rows = self._store.trials(self._spec.name)
        self._ended = [row.status for row in rows if row.status.is_final]
        self._seconds = sum(row.seconds for row in rows)
        self._holdings.take_over()
        self._sweep()

    def _count_seconds(self) -> None:
        """Those of all processes, for the time limit."""
        if self._spec.time_limit_s is not None:
            self._seconds = sum(row.seconds for row in self._store.trials(self._spec.name))

    def _wait_for(self, others: Sequence[Trial]) -> None:
        """Nothing is left to begin, but *others* are in the hands of other processes."""
        self._progress.waiting(others)
        time.sleep(WAIT_S)
        self._arms.refresh()

    def _fill(self) -> None:
        """Give the free slots trials; those that an earlier run left come before new proposals."""
        new = []
        while self._engine.free and (asked := self._arms.ask(1)):
            [trial] = asked
            checkpoint, curve = self._holdings.resumed(trial)
            epoch = self._engine.admit(trial, checkpoint)
            self._arms.restore(trial, [(e, value) for e, value in curve if e <= epoch])
            new.append((trial, epoch, checkpoint))
        for trial, epoch, checkpoint in new:
            self._start(trial, epoch, checkpoint)

    def _start(self, trial: Trial, epoch: int, checkpoint: str | None) -> None:
        how = self._engine.how(trial)
        if not self._holdings.begin(trial, epoch, how.data()):
            self._leave(trial)
            return
        saved = checkpoint if epoch else None
        attempt = self._holdings.attempt(trial)
        self._live[trial.trial_id] = _Live(attempt, epoch, saved, time.monotonic())
        if how.because and how.because not in self._noted:
            self._noted.add(how.because)
            self._progress.noted(f"{trial} is trained {how}")
        self._progress.trial_started(trial, epoch)

    def _note_lost(self) -> None:
        """Other processes have taken trials over that are in slots here: we were thought dead."""
        for trial in self._store.lost():
            self._taken.add(trial.trial_id)
            self._arms.shared = True
            self._progress.noted(f"{trial} was taken over by another process")

    def _leave(self, trial: Trial) -> None:
        """Let another process have *trial*, which rests in a slot."""
        self._engine.retire(trial, Status.PREEMPTED)
        self._forget(trial)

    def _forget(self, trial: Trial) -> None:
        self._taken.discard(trial.trial_id)
        self._live.pop(trial.trial_id, None)
        self._arms.give_up(trial)
        self._arms.shared = True

    def _settle(self, ended: Sequence[TrialResult]) -> None:
        """Keep what a round of epochs came to, all of it or nothing.

        Where trials ended, the others are saved in the same moment: what is proposed next is
        proposed again, by a run that goes on, from the same knowledge.
        """
        live = [trial for trial in self._engine.resting if trial.trial_id not in self._taken]
        saved = [] if not ended and not any(map(self._is_due, live)) else self._saved(live)
        with self._store.at_once() if len(ended) + len(saved) > 1 else nullcontext():
            for trial, path in saved:
                self._store.checkpoint(trial, path)
            for result in ended:
                self._store.finish(result)
        self._note_lost()
        self._replace(saved)
        for result in ended:
            if result.trial.trial_id in self._taken:
                self._forget(result.trial)
            else:
                self._tell(result)

    def _tell(self, result: TrialResult) -> None:
        self._arms.tell(result)
        live = self._live.pop(result.trial.trial_id)
        if live.checkpoint:
            self._checkpoints.delete(live.checkpoint)
        self._ended.append(result.status)
        self._progress.trial_finished(result)
        self._host.notify("automl_opt_trial_finished", study=self._spec, result=result)
        enough = max(3, len(self._study_ids))
        if len(self._ended) >= enough and all(status.is_failure for status in self._ended):
            raise AllTrialsFailed(
                f"study {self._spec.name!r} stops: all {len(self._ended)} trials so far failed, "
                f"the last ({result.trial}) with: {result.reason}"
            )

    def _reason_to_stop(self) -> str | None:
        if self._stop.signal is not None:
            return self._stop.signal.name
        limit = self._spec.time_limit_s
        if limit is not None and self._seconds >= limit:
            return "time limit"
        return None

    def _put_down(self, reason: str) -> str:
        """Keep what is in training so that the next run goes on from here."""
        self._progress.stopping(reason)
        self._settle(self._judged(self._engine.finish()))
        live = [trial for trial in self._engine.live if trial.trial_id not in self._taken]
        saved = self._saved(live)
        with self._store.at_once():
            for trial, path in saved:
                self._store.checkpoint(trial, path)
            for trial in (*live, *self._engine.lost()):
                self._store.stop(trial, reason)
        self._note_lost()
        self._replace(saved)
        return reason

    def _is_due(self, trial: Trial) -> bool:
        passed = time.monotonic() - self._live[trial.trial_id].saved_at
        return passed >= self._spec.checkpoint_every_s

    def _saved(self, trials: Sequence[Trial]) -> list[tuple[Trial, str]]:
        """Write the checkpoints of *trials* that are older than their last epoch.

        Each is a file of its own, deleted when the next one is in the database: so the file which
        the database names is always the state after the epoch it names.
        """
        saved = []
        for trial in trials:
            live = self._live[trial.trial_id]
            path = self._checkpoints.place(trial, live.attempt, live.epoch)
            if path == live.checkpoint:
                continue
            if self._checkpoints.save(self._engine, trial, path):
                saved.append((trial, path))
        return saved

    def _replace(self, saved: Sequence[tuple[Trial, str]]) -> None:
        """Delete the checkpoints that those in the database have replaced."""
        for trial, path in saved:
            if trial.trial_id in self._taken:
                continue
            live = self._live[trial.trial_id]
            if live.checkpoint:
                self._checkpoints.delete(live.checkpoint)
            live.checkpoint, live.saved_at = path, time.monotonic()

    def _sweep(self) -> None:
        """Delete the checkpoints that the database does not name: a kill may leave some."""
        files = self._checkpoints.files()
        rows = self._store.trials(self._spec.name)
        needed = {row.checkpoint_uri for row in rows}
        held = [(row.arm, row.number) for row in rows if is_held(row)]
        self._checkpoints.sweep(files, needed, held)


def versions() -> dict[str, str]:
    """What a result depends on beside what training knows, for its row."""
    return {name: version(name) for name in ("automl-opt", "optuna", "sqlalchemy")}
