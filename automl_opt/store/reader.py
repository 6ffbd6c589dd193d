"""Read-only queries: studies, trials and curves as frozen rows."""

from __future__ import annotations

import json
from collections.abc import Collection
from itertools import takewhile
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, exists, func, select

from automl_opt.core.result import Status
from automl_opt.store.engine import reading
from automl_opt.store.models import (
    environment,
    epoch_metric,
    metric,
    plugin,
    run_plugin,
    study,
    trial_run,
)
from automl_opt.store.rows import ComponentRow, EpochRow, StudyRow, TrialRow


class Reader:
    """Asks and never writes; each call is one query and sees one consistent state."""

    engine: Engine

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def studies(self, name: str | None = None) -> list[StudyRow]:
        """The arms of the study *name*, or of all studies, oldest first."""
        query = select(study).order_by(study.c.created_at, study.c.study_id)
        if name is not None:
            query = query.where(study.c.name == name)
        return [StudyRow(**row) for row in self._rows(query)]

    def trials(self, name: str) -> list[TrialRow]:
        """The trials of the study *name*, arm by arm in order of creation, each by number."""
        return self._trials(study.c.name == name)

    def latest(self, trial_ids: Collection[int]) -> dict[int, TrialRow]:
        """Those of the trials that were begun, by id."""
        rows = self._trials(trial_run.c.trial_id.in_(trial_ids)) if trial_ids else []
        return {row.trial_id: row for row in rows}

    def losses(self, trial_id: int) -> int:
        """How often in a row a process was lost over the trial before its checkpoint moved on."""
        query = (
            select(trial_run.c.state, trial_run.c.from_epoch)
            .where(trial_run.c.trial_id == trial_id)
            .order_by(trial_run.c.attempt.desc())
        )
        rows = self._rows(query)
        at_work = (Status.RUNNING, Status.PREEMPTED)
        stuck = takewhile(
            lambda row: row["state"] in at_work and row["from_epoch"] == rows[0]["from_epoch"], rows
        )
        return len(list(stuck))

    def _trials(self, which: ColumnElement[bool]) -> list[TrialRow]:
        later = trial_run.alias()
        query = (
            select(
                *(c for c in trial_run.c if c.name not in ("state", "seed", "env_id", "parts")),
                trial_run.c.state.label("status"),
                trial_run.c.seed.label("seeds_json"),
                study.c.arm,
            )
            .join(study, study.c.study_id == trial_run.c.study_id)
            .where(
                which,
                ~exists().where(
                    later.c.trial_id == trial_run.c.trial_id,
                    later.c.attempt > trial_run.c.attempt,
                ),
            )
            .order_by(study.c.created_at, study.c.study_id, trial_run.c.number)
        )
        return [TrialRow(**{**row, "status": Status(row["status"])}) for row in self._rows(query)]

    def curve(self, trial_id: int) -> list[EpochRow]:
        """Every epoch of one trial, over all its attempts, by epoch, split and metric."""
        query = _curve().where(trial_run.c.trial_id == trial_id)
        return [_epoch_row(row) for row in self._rows(query)]

    def curves(self, name: str, split: str | None = None) -> dict[int, list[EpochRow]]:
        """By trial id, what :meth:`curve` gives for each trial of the study *name*.

        Args:
            split: only this one. Trials without rows are absent.
        """
        query = (
            _curve()
            .join(study, study.c.study_id == trial_run.c.study_id)
            .where(study.c.name == name)
        )
        if split is not None:
            query = query.where(epoch_metric.c.split == split)
        found: dict[int, list[EpochRow]] = {}
        for row in self._rows(query):
            found.setdefault(row["trial_id"], []).append(_epoch_row(row))
        return found

    def environments(self, name: str) -> list[dict[str, Any]]:
        """What the runs of the study *name* ran on, as it was recorded, the latest last."""
        query = (
            select(environment.c.json)
            .join(trial_run, trial_run.c.env_id == environment.c.id)
            .join(study, study.c.study_id == trial_run.c.study_id)
            .where(study.c.name == name)
            .group_by(environment.c.id, environment.c.json)
            .order_by(func.max(trial_run.c.run_id))
        )
        return [json.loads(row["json"]) for row in self._rows(query)]

    def components(self, name: str) -> list[ComponentRow]:
        """The components that the study *name* was trained with, by kind and name."""
        columns = (
            plugin.c.kind,
            plugin.c.name,
            plugin.c.version,
            plugin.c.distribution,
            plugin.c.distribution_version,
        )
        query = (
            select(*columns)
            .distinct()
            .join(run_plugin, run_plugin.c.plugin_id == plugin.c.id)
            .join(trial_run, trial_run.c.run_id == run_plugin.c.run_id)
            .join(study, study.c.study_id == trial_run.c.study_id)
            .where(study.c.name == name)
            .order_by(*columns)
        )
        return [ComponentRow(**row) for row in self._rows(query)]

    def _rows(self, query: Select[Any]) -> list[Any]:
        with reading(self.engine) as connection:
            return list(connection.execute(query).mappings())


def _curve() -> Select[Any]:
    return (
        select(
            trial_run.c.trial_id,
            epoch_metric.c.epoch,
            epoch_metric.c.split,
            metric.c.name.label("metric"),
            epoch_metric.c.value,
            epoch_metric.c.seconds,
        )
        .join(epoch_metric, epoch_metric.c.run_id == trial_run.c.run_id)
        .join(metric, metric.c.id == epoch_metric.c.metric_id)
        .order_by(trial_run.c.trial_id, epoch_metric.c.epoch, epoch_metric.c.split, metric.c.name)
    )


def _epoch_row(row: Any) -> EpochRow:
    return EpochRow(
        epoch=row["epoch"],
        split=row["split"],
        metric=row["metric"],
        value=row["value"],
        seconds=row["seconds"],
    )
