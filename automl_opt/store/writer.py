"""Writes what a study does: its arms, the runs of its trials, every epoch, how each ended."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Engine, insert, or_, select, update

from automl_opt.core.errors import StoreError
from automl_opt.core.result import EpochReport, Measurement, Status, Trial, TrialResult
from automl_opt.plugin.catalog import Component
from automl_opt.store import models, statements
from automl_opt.store.engine import shown, writing
from automl_opt.store.heartbeat import beating
from automl_opt.store.retention import lost_trials
from automl_opt.store.statements import Ids, Point, Run, number

FLUSH_ROWS = 256
FLUSH_EVERY_S = 2.0


class Recorder:
    """Keeps the trials that this process runs; for one thread.

    Epochs are gathered and written together. Every other call writes at once, and with it all
    that was gathered, in one transaction. A call that fails wrote nothing and may be repeated.

    A trial that another process has started anew is no longer ours: nothing more of it is
    written, whatever is asked, and :meth:`lost` names it. Other trials' rows are written all the
    same.
    """

    engine: Engine

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._live: dict[int, Run] = {}  # by trial id, as is the next
        self._ended: dict[int, Status | None] = {}  # None: taken over by another process
        self._lost: list[Trial] = []
        self._gathered: list[Point] = []
        self._flushed_at = time.monotonic()
        self._ids = Ids()
        self._pending: list[_Change] | None = None  # inside at_once

    def save_study(
        self,
        *,
        study_id: int,
        name: str,
        arm: str,
        spec_json: str,
        space_json: str,
        space_hash: str,
    ) -> None:
        """Insert the arm, or bring its row up to date.

        Raises:
            StoreError: the id belongs to another arm, or the arm has another id; or Optuna's
                tables are here without all of its trials.
        """
        study = models.study
        described = {"spec_json": spec_json, "space_json": space_json, "space_hash": space_hash}
        with writing(self.engine) as connection:
            rows = connection.execute(
                select(study.c.study_id, study.c.name, study.c.arm).where(
                    or_(
                        study.c.study_id == study_id,
                        (study.c.name == name) & (study.c.arm == arm),
                    )
                )
            ).all()
            for row in rows:
                if tuple(row) != (study_id, name, arm):
                    raise StoreError(
                        f"{shown(self.engine.url)}: Optuna calls arm {arm!r} of study {name!r} "
                        f"number {study_id}, but our tables hold arm {row.arm!r} of study "
                        f"{row.name!r} as number {row.study_id}: that one was deleted in Optuna "
                        "alone; 'automl-opt db prune' sweeps away what it left"
                    )
            lost = lost_trials(connection, study_id)
            if lost:
                raise StoreError(
                    f"{shown(self.engine.url)}: of arm {arm!r} of study {name!r} {lost} trials are "
                    "in our tables and not in Optuna's: the study was deleted in Optuna alone; "
                    "'automl-opt db prune' sweeps away what it left"
                )
            if rows:
                ours = study.c.study_id == study_id
                connection.execute(update(study).where(ours).values(described))
            else:
                key = {"study_id": study_id, "name": name, "arm": arm, "created_at": _now()}
                connection.execute(insert(study).values({**key, **described}))

    def start_run(
        self,
        trial: Trial,
        *,
        study_id: int,
        parts: Sequence[tuple[str, Component, Mapping[str, Any]]],
        environment: Mapping[str, Any],
        worker: str,
        device: str,
        from_epoch: int = 0,
        attempts: int = 0,
        lease_s: float,
    ) -> int | None:
        """Begin an attempt on *trial* and take it over from whoever had it; returns the run id.

        An earlier attempt that had not ended becomes preempted. What earlier ones measured after
        *from_epoch* is deleted, so the curve of a trial is the union of its attempts' rows and
        no epoch is in it twice. With *from_epoch*, the checkpoint stays known.

        Args:
            parts: ``(role, component, params)`` in the order of training.
            environment: what the result may depend on; equal environments are stored once.
            attempts: how many there are as far as the caller knows.
            lease_s: how long the run counts as alive after each write.

        Returns:
            ``None`` where there are more attempts, or the trial has ended: another process was
            quicker, and has it.
        """
        if trial.trial_id in self._live:
            self.flush()
        now = _now()
        try:
            with writing(self.engine) as connection:
                self._ids.begin()
                seconds, saved = statements.take_over(
                    connection, trial.trial_id, attempts, from_epoch, now
                )
                rows = statements.part_rows(connection, parts, self._ids)
                run_id = statements.insert_attempt(
                    connection,
                    {
                        "study_id": study_id,
                        "trial_id": trial.trial_id,
                        "number": trial.number,
                        "attempt": attempts + 1,
                        "state": Status.RUNNING.value,
                        "seed": json.dumps(asdict(trial.seeds)),
                        "recipe_json": trial.recipe.to_json(),
                        "epochs": from_epoch,
                        "from_epoch": from_epoch,
                        "seconds": seconds,
                        "worker": worker,
                        "device": device,
                        "lease_until": now + timedelta(seconds=lease_s),
                        "started_at": now,
                        "checkpoint_uri": saved if from_epoch else None,
                        "env_id": statements.environment_id(connection, environment, self._ids),
                        "parts": statements.parts_of(row["plugin_id"] for row in rows),
                    },
                )
                statements.save_parts(connection, run_id, rows)
        except statements.TakenOver:
            return None
        self._ids.commit()
        self._ended.pop(trial.trial_id, None)
        self._live[trial.trial_id] = Run(run_id, trial, lease_s, from_epoch, seconds)
        return run_id

    def epoch(self, report: EpochReport) -> None:
        """Gather one epoch; now and then, write what is gathered and renew the leases.

        An epoch without measurements leaves no row. Where writing fails the epoch stays
        gathered: repeat :meth:`flush`, not this.
        """
        run = self._held(report.trial)
        if run is None:
            return
        if report.epoch <= run.epoch:
            raise StoreError(
                f"{report.trial}: epoch {report.epoch} was reported after epoch {run.epoch}"
            )
        self._gathered += _points(run, report.epoch, report.measurements, report.seconds)
        run.epoch = report.epoch
        run.seconds += report.seconds if math.isfinite(report.seconds) else 0.0
        overdue = time.monotonic() - self._flushed_at >= FLUSH_EVERY_S
        if overdue or len(self._gathered) >= FLUSH_ROWS:
            self.flush()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, checkpoints and ends are gathered, and in the end written in one transaction."""
        assert self._pending is None, "at_once inside at_once"
        self._pending = []
        try:
            yield
            changes, self._pending = self._pending, None
            self._write(changes)
        finally:
            self._pending = None

    def checkpoint(self, trial: Trial, uri: str) -> None:
        """*uri* holds *trial* as it was after the last reported epoch.

        Written together with the epochs: who finds a checkpoint finds every epoch before it.
        """
        if run := self._held(trial):
            self._change(_Change(run, {"checkpoint_uri": uri, "epochs": run.epoch}))

    def finish(self, result: TrialResult) -> None:
        """How the trial ended, with its test measurements; said twice, it is written once."""
        trial = result.trial
        if trial.trial_id in self._ended and self._ended[trial.trial_id] is result.status:
            return
        run = self._held(trial)
        if run is None:
            return
        values = {
            "reason": result.reason,
            "value": number(result.value),
            "epochs": result.epochs,
            "checkpoint_uri": None,
        }
        test = _points(run, result.epochs, result.test, None)
        self._change(_Change(run, values, ends=result.status, points=test))

    def stop(self, trial: Trial, reason: str) -> None:
        """The trial is put down here for *reason*, to go on from its last checkpoint."""
        if run := self._held(trial):
            self._change(_Change(run, {"reason": reason}, ends=Status.STOPPED))

    def flush(self) -> None:
        """Write what is gathered and renew the lease of every trial held here."""
        if self._live:
            self._write()

    def lost(self) -> list[Trial]:
        """The trials that were taken over by other processes since this was last asked."""
        lost, self._lost = self._lost, []
        return lost

    def heartbeat(self, every_s: float) -> AbstractContextManager[None]:
        """Inside, leases hold however long an epoch takes; see :func:`beating`."""
        return beating(self.engine, partial(self._at_rest_for, every_s), every_s)

    def _at_rest_for(self, seconds: float) -> list[Run]:
        """The runs whose leases were not renewed for so long."""
        fresh = time.monotonic() - self._flushed_at < seconds
        return [] if fresh else list(self._live.values())

    def _change(self, change: _Change) -> None:
        if self._pending is None:
            self._write([change])
        else:
            self._pending.append(change)

    def _held(self, trial: Trial) -> Run | None:
        """The attempt of ours on *trial*; ``None`` where another process has taken it over."""
        run = self._live.get(trial.trial_id)
        if run is not None:
            return run
        if trial.trial_id not in self._ended:
            raise StoreError(f"{trial} was not started here: start_run comes first")
        status = self._ended[trial.trial_id]
        if status is not None:
            raise StoreError(f"{trial} has already ended here: {status}")
        return None

    def _write(self, changes: Sequence[_Change] = ()) -> None:
        """One transaction: what is gathered, all leases, and the *changes* to runs."""
        held = {run.run_id: run for run in self._live.values()}
        now = _now()
        points = [point for change in changes for point in change.points]
        with writing(self.engine) as connection:
            self._ids.begin()
            states = statements.states(connection, held)
            alive = {key for key, state in states.items() if state == Status.RUNNING}
            news: dict[int, dict[str, Any]] = {
                # with its epochs: who finds an epoch finds its seconds counted
                key: {"lease_until": held[key].lease_from(now), "seconds": held[key].seconds}
                for key in sorted(alive)
            }
            for change in changes:
                if change.run.run_id in alive:
                    news[change.run.run_id] |= change.values
                    if change.ends is not None:
                        end = {"state": change.ends.value, "ended_at": now, "lease_until": None}
                        news[change.run.run_id] |= end
            statements.update_runs(connection, news)
            rows = [point for point in (*self._gathered, *points) if point.run_id in alive]
            statements.save_points(connection, rows, self._ids)

        # committed: only now is anything forgotten
        self._ids.commit()
        self._gathered.clear()
        self._flushed_at = time.monotonic()
        for change in changes:
            if change.ends is None:
                continue
            # in its final state already: our own doing, and only the answer was lost
            repeated = change.ends.is_final and states.get(change.run.run_id) == change.ends
            if repeated or change.run.run_id in alive:
                self._leave(change.run, change.ends)
        for each in list(self._live.values()):
            if each.run_id not in alive:
                self._leave(each, None)
                self._lost.append(each.trial)

    def _leave(self, run: Run, status: Status | None) -> None:
        del self._live[run.trial.trial_id]
        self._ended[run.trial.trial_id] = status


@dataclass(frozen=True)
class _Change:
    """What is to be written about a run: columns, how it ends, measurements."""

    run: Run
    values: Mapping[str, Any]
    ends: Status | None = None
    points: Sequence[Point] = ()


def _now() -> datetime:
    return datetime.now(UTC)


def _points(
    run: Run, epoch: int, measurements: Iterable[Measurement], seconds: float | None
) -> list[Point]:
    points: dict[tuple[str, str], Point] = {}
    for each in measurements:
        key = (each.split, each.metric)
        if key in points:
            raise StoreError(
                f"{run.trial}: epoch {epoch} has {each.metric!r} of {each.split} twice"
            )
        value = number(each.value)
        points[key] = Point(run.run_id, each.metric, each.split, epoch, value, number(seconds))
    return list(points.values())
