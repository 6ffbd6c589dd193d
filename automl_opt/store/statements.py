"""The statements that the recorder's transactions are made of; none begins or ends one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Table,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from automl_opt.core.result import Status, Trial
from automl_opt.plugin.catalog import Component
from automl_opt.store import models
from automl_opt.store.models import UTCDateTime, epoch_metric, trial_run

TEST_SPLIT = "test"


class Point(NamedTuple):
    """A row of ``hpo_epoch_metric``, its metric by name."""

    run_id: int
    metric: str
    split: str
    epoch: int
    value: float | None
    seconds: float | None


@dataclass
class Run:
    """An attempt that this process holds."""

    run_id: int
    trial: Trial
    lease_s: float
    epoch: int
    seconds: float  # of training, over all attempts


def take_over(
    connection: Connection, run_ids: Sequence[int], from_epoch: int, now: datetime
) -> None:
    """Interrupt those of the runs that have not ended; forget what they did past *from_epoch*."""
    unfinished = [Status.RUNNING.value, Status.INTERRUPTED.value]
    connection.execute(
        update(trial_run)
        .where(trial_run.c.run_id.in_(run_ids), trial_run.c.state.in_(unfinished))
        .values(
            state=Status.INTERRUPTED.value,
            lease_until=None,
            ended_at=func.coalesce(trial_run.c.ended_at, literal(now, UTCDateTime())),
        )
    )
    # test measurements belong to an end that is one no more
    outdated = or_(epoch_metric.c.epoch > from_epoch, epoch_metric.c.split == TEST_SPLIT)
    connection.execute(delete(epoch_metric).where(epoch_metric.c.run_id.in_(run_ids), outdated))


def states(connection: Connection, run_ids: Iterable[int]) -> dict[int, str]:
    """The state of each run, locked until the transaction ends."""
    rows = connection.execute(
        select(trial_run.c.run_id, trial_run.c.state)
        .where(trial_run.c.run_id.in_(list(run_ids)))
        .order_by(trial_run.c.run_id)
        .with_for_update()
    )
    return {row.run_id: row.state for row in rows}


def seconds_up_to(connection: Connection, run_ids: Sequence[int], epoch: int) -> float:
    """What training took until *epoch*; every row of an epoch carries the epoch's seconds."""
    epochs = (
        select(func.max(epoch_metric.c.seconds).label("seconds"))
        .where(epoch_metric.c.run_id.in_(run_ids), epoch_metric.c.epoch <= epoch)
        .group_by(epoch_metric.c.epoch)
        .subquery()
    )
    return connection.scalar(select(func.sum(epochs.c.seconds))) or 0.0


def renew_leases(connection: Connection, runs: Sequence[Run], now: datetime) -> None:
    """Written with the epochs: who finds an epoch finds its seconds counted."""
    if not runs:
        return
    connection.execute(
        update(trial_run)
        .where(trial_run.c.run_id == bindparam("held"))
        .values(lease_until=bindparam("until"), seconds=bindparam("spent")),
        [
            {
                "held": run.run_id,
                "until": now + timedelta(seconds=run.lease_s),
                "spent": run.seconds,
            }
            for run in runs
        ],
    )


def save_points(
    connection: Connection, points: Sequence[Point], known: Mapping[str, int]
) -> dict[str, int]:
    """Insert *points*; returns *known* with the ids of the metrics that were new."""
    metric_ids = dict(known)
    for name in sorted({point.metric for point in points} - metric_ids.keys()):
        metric_ids[name] = _id_of(connection, models.metric, {"name": name})
    if points:
        connection.execute(
            insert(epoch_metric),
            [
                {
                    "run_id": point.run_id,
                    "metric_id": metric_ids[point.metric],
                    "split": point.split,
                    "epoch": point.epoch,
                    "value": point.value,
                    "seconds": point.seconds,
                }
                for point in points
            ],
        )
    return metric_ids


def save_parts(
    connection: Connection,
    run_id: int,
    parts: Sequence[tuple[str, Component, Mapping[str, Any]]],
) -> None:
    rows: list[dict[str, Any]] = []
    for role, component, params in parts:
        described = {
            "kind": component.kind,
            "name": component.id,
            "version": component.spec.version,
            "distribution": component.distribution,
            "distribution_version": component.distribution_version,
            "sha256": component.source_sha256,
        }
        rows.append(
            {
                "run_id": run_id,
                "role": role,
                "position": sum(row["role"] == role for row in rows),
                "plugin_id": _id_of(connection, models.plugin, described),
                "params_json": _json(params),
            }
        )
    if rows:
        connection.execute(insert(models.run_plugin), rows)


def environment_id(connection: Connection, environment: Mapping[str, Any]) -> int:
    text = _json(environment)
    key = {"sha256": hashlib.sha256(text.encode()).hexdigest()}
    return _id_of(connection, models.environment, key, {"json": text})


def _id_of(
    connection: Connection,
    table: Table,
    key: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
) -> int:
    """The id of the row that has *key*, inserted with *more* where there is none."""
    query = select(table.c.id).where(*(table.c[name] == value for name, value in key.items()))
    found = connection.scalar(query.limit(1))
    if found is not None:
        return int(found)
    try:
        with connection.begin_nested():
            return insert_row(connection, table, {**key, **(more or {})})
    except IntegrityError:  # another process was quicker; not on SQLite, where we hold the lock
        return int(connection.execute(query).scalar_one())


def insert_row(connection: Connection, table: Table, values: Mapping[str, Any]) -> int:
    """The id that the new row was given."""
    key = connection.execute(insert(table).values(dict(values))).inserted_primary_key
    assert key is not None
    return int(key[0])


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True, default=str)
