"""Runs a study: asks, trains, records and tells until the budget is spent; resumes likewise."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from automl_opt.core.errors import AutomlOptError, StoreError, StudyChanged, TaskError
from automl_opt.core.result import Status, Trial, TrialResult
from automl_opt.core.spec import StudySpec
from automl_opt.plugin.host import Host
from automl_opt.search.arms import Arms, open_arms, open_storage
from automl_opt.search.space import RecipeSpace, arms_of
from automl_opt.store import EpochRow, Store, TrialRow
from automl_opt.study.interrupts import Stop, graceful_stop
from automl_opt.study.judge import Ranking
from automl_opt.study.progress import Progress
from automl_opt.study.ranking import ranking_of
from automl_opt.training.build import TorchBuilder
from automl_opt.training.engine import Engine, environment, open_engine
from automl_opt.training.task import Task, load_task

LEASE_S = 600.0
MAY_CHANGE = {
    "question",
    "[search] trials",
    "[search] time_limit",
    "[training] device",
    "[training] threads",
    "[training] checkpoint_every",
    "[ranges]",  # looked at arm by arm, as part of the search space
}
"""Settings of a study that may differ from those it began with."""


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
) -> Outcome:
    """Spend the budget of *spec* and keep every epoch; go on where an earlier run ended.

    Raises:
        SpecError, TaskError, UnknownComponent: the study cannot start; nothing was changed.
        StudyChanged: the database holds a study of this name that began otherwise.
        StoreError: the database is in use by another run of this study, or fails.
        AllTrialsFailed: the first trials of every arm failed.
    """
    task = task or load_task(spec)
    spec = _with_direction(spec, task)
    builder = TorchBuilder(host.catalog)
    spaces = arms_of(spec, host.catalog, task.ranges(spec), builder)
    _refuse_changes(spec, spaces, store)
    _refuse_if_running(spec, store)
    engine = open_engine(task, spec, builder, spaces[0].default())

    storage = open_storage(store.url)
    try:
        store.tune(storage.engine)
        arms = open_arms(spec, host.catalog, storage, spaces)
        for arm in arms.arms:
            store.save_study(
                study_id=arm.study_id,
                name=spec.name,
                arm=arm.name,
                spec_json=json.dumps(spec.settings(), sort_keys=True),
                space_json=arm.space.space.to_json(),
                space_hash=arm.space.space.fingerprint(),
            )
        with graceful_stop() as stop:
            study = _Run(spec, host, store, engine, arms, progress or Progress(), stop)
            stopped = study.spend()
    finally:
        storage.remove_session()
        storage.engine.dispose()
    ranking = ranking_of(store, spec.name)
    if stopped is None:
        host.notify("automl_opt_study_finished", study=spec, verdict=ranking)
    return Outcome(ranking=ranking, stopped=stopped)


def _with_direction(spec: StudySpec, task: Task) -> StudySpec:
    try:
        own = task.direction_of(spec.metric)
    except TaskError as error:
        raise spec.error("[objective] metric", str(error)) from error
    return replace(spec, direction=spec.direction or own)


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
        self._environment = {**environment(engine.device), **_versions()}
        self._worker = f"{socket.gethostname()}:{os.getpid()}"
        self._checkpoints = store.folder / spec.name
        self._resumable: dict[int, Path] = {}
        self._saved_at: dict[int, float] = {}
        self._ended: list[Status] = []
        self._seconds = 0.0

    def spend(self) -> str | None:
        """Run until the budget is spent; why it stopped before, if it did."""
        arms, engine = self._arms, self._engine
        self._host.notify("automl_opt_study_started", study=self._spec)
        self._recover()
        self._progress.started(self._spec, [arm.name for arm in arms.arms], len(self._ended))
        while arms.has_budget() or engine.live:
            if reason := self._reason_to_stop():
                return self._put_down(reason)
            for trial in arms.ask(engine.free):
                self._start(trial)
            for report in engine.advance():
                if report.measurements:
                    self._store.epoch(report)
                self._progress.epoch(report)
                self._seconds += report.seconds
                if report.finished:
                    self._end(engine.retire(report.trial))
                elif arms.should_stop(report):
                    self._end(engine.retire(report.trial, Status.PRUNED))
                elif self._is_due(report.trial):
                    self._save(report.trial)
        shutil.rmtree(self._checkpoints, ignore_errors=True)  # every trial has ended
        return None

    def _recover(self) -> None:
        """Tell what an earlier run knew and could not tell; put back what it left unfinished."""
        rows = {row.trial_id: row for row in self._store.trials(self._spec.name)}
        curves = self._store.curves(self._spec.name, split="valid")
        self._ended = [row.status for row in rows.values() if row.status.is_final]
        self._seconds = sum(row.seconds for row in rows.values())
        for trial in self._arms.unfinished():
            row = rows.get(trial.trial_id)
            curve = self._values(curves.get(trial.trial_id, []))
            if row is not None and row.status.is_final:
                self._arms.restore(trial, curve)
                self._arms.tell(_result_of(trial, row))
                continue
            epoch = 0
            if row is not None and row.checkpoint_uri and Path(row.checkpoint_uri).is_file():
                self._resumable[trial.trial_id] = Path(row.checkpoint_uri)
                epoch = row.epochs
            self._arms.restore(trial, [(e, value) for e, value in curve if e <= epoch])
            self._arms.put_back(trial)

    def _values(self, curve: list[EpochRow]) -> list[tuple[int, float]]:
        return [
            (row.epoch, row.value)
            for row in curve
            if row.metric == self._spec.metric and row.value is not None
        ]

    def _start(self, trial: Trial) -> None:
        checkpoint = self._resumable.pop(trial.trial_id, None)
        epoch = self._engine.admit(trial, checkpoint)
        catalog = self._host.catalog
        self._store.start_run(
            trial,
            study_id=self._study_ids[trial.arm],
            parts=[
                (role, catalog.find(role, part.id), part.params)
                for role, part in trial.recipe.parts()
            ],
            environment=self._environment,
            worker=self._worker,
            device=self._engine.device,
            from_epoch=epoch,
            lease_s=LEASE_S,
        )
        self._saved_at[trial.trial_id] = time.monotonic()
        self._progress.trial_started(trial, epoch)

    def _end(self, result: TrialResult) -> None:
        self._store.finish(result)
        self._arms.tell(result)
        self._checkpoint_of(result.trial).unlink(missing_ok=True)
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
        for trial in self._engine.live:
            self._save(trial)
            self._store.interrupt(trial, str(self._checkpoint_of(trial)))
        self._store.flush()
        return reason

    def _is_due(self, trial: Trial) -> bool:
        passed = time.monotonic() - self._saved_at[trial.trial_id]
        return passed >= self._spec.checkpoint_every_s

    def _save(self, trial: Trial) -> None:
        path = self._checkpoint_of(trial)
        self._engine.save(trial, path)
        self._store.checkpoint(trial, str(path))
        self._saved_at[trial.trial_id] = time.monotonic()

    def _checkpoint_of(self, trial: Trial) -> Path:
        return self._checkpoints / f"{trial.arm}-{trial.number}.pt"


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("automl-opt", "optuna", "sqlalchemy")}


def _result_of(trial: Trial, row: TrialRow) -> TrialResult:
    """A result as the store kept it; test numbers stay there, nobody here needs them."""
    return TrialResult(
        trial=trial, status=row.status, value=row.value, epochs=row.epochs, reason=row.reason
    )


def _refuse_changes(spec: StudySpec, spaces: list[RecipeSpace], store: Store) -> None:
    """Raise :class:`StudyChanged` where *spec* is not the study that the database began."""
    began = store.studies(spec.name)
    if not began:
        return
    advice = "Set it back, or give the study another name or another --storage."
    stored = json.loads(began[0].spec_json)
    now = json.loads(json.dumps(spec.settings()))
    for key in sorted(now.keys() | stored.keys()):
        if key in MAY_CHANGE or key == f"[space] {spec.compare}" == f"[space] {stored['compare']}":
            continue
        if now.get(key) != stored.get(key):
            raise StudyChanged(
                f"{spec.source}, {key}: is {_short(now.get(key))}, but the study {spec.name!r} in "
                f"{store.shown_url} began with {_short(stored.get(key))}. {advice}"
            )
    by_arm = {row.arm: row for row in began}
    for space in spaces:
        row = by_arm.get(space.arm)
        if row is not None and row.space_hash != space.space.fingerprint():
            name, old, new = _first_difference(row.space_json, space.space.to_json())
            raise StudyChanged(
                f"{spec.source}, arm {space.arm!r}: the range of {name} is {_short(new)}, but the "
                f"study {spec.name!r} in {store.shown_url} began with {_short(old)}. {advice}"
            )


def _first_difference(old: str, new: str) -> tuple[str, Any, Any]:
    before: Mapping[str, Any] = {entry["name"]: entry for entry in json.loads(old)}
    after: Mapping[str, Any] = {entry["name"]: entry for entry in json.loads(new)}
    for name in [*after, *before]:
        if before.get(name) != after.get(name):
            return name, before.get(name), after.get(name)
    return "the entries", "another order", "this order"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if key not in ("name", "when") or item}
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 160 else text[:157] + "…"


def _refuse_if_running(spec: StudySpec, store: Store) -> None:
    """Raise :class:`StoreError` while another process trains a trial of this study."""
    for row in store.trials(spec.name):
        if row.status is not Status.RUNNING or not row.worker:
            continue
        machine, _, pid = row.worker.rpartition(":")
        if machine == socket.gethostname():
            busy = int(pid) != os.getpid() and _is_alive(int(pid))
        else:
            busy = row.lease_until is not None and row.lease_until > datetime.now(UTC)
        if busy:
            raise StoreError(
                f"study {spec.name!r} in {store.shown_url} is being run by process {pid} on "
                f"{machine} (trial {row.arm} #{row.number}). Stop that one first; if it is gone, "
                f"its claim ends {row.lease_until:%Y-%m-%d %H:%M} UTC at the latest."
            )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
