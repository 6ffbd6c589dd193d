"""The statements that the recorder's transactions are made of; none begins or ends one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Table,
    Update,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from automl_opt.core.result import Status, Trial
from automl_opt.plugin.catalog import Component
from automl_opt.store import models
from automl_opt.store.models import epoch_metric, trial_run

TEST_SPLIT = "test"

# made once: to make a statement takes SQLAlchemy longer than SQLite to run it
_insert_into = cache(insert)
_ATTEMPTS = (
    select(trial_run.c.run_id, trial_run.c.state, trial_run.c.checkpoint_uri)
    .where(trial_run.c.trial_id == bindparam("trial"))
    .order_by(trial_run.c.attempt)
    .with_for_update()
)
_STATES = (
    select(trial_run.c.run_id, trial_run.c.state)
    .where(trial_run.c.run_id.in_(bindparam("runs", expanding=True)))
    .order_by(trial_run.c.run_id)
    .with_for_update()
)


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

    def lease_from(self, now: datetime) -> datetime:
        """Until when the run counts as alive after a sign of life *now*."""
        return now + timedelta(seconds=self.lease_s)


class Ids:
    """Ids of rows that never change or go: asked once, remembered once they are committed."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], int] = {}
        self._found: dict[tuple[Any, ...], int] = {}

    def begin(self) -> None:
        """Forget what a transaction found that was rolled back."""
        self._found.clear()

    def commit(self) -> None:
        """Remember what the transaction found."""
        self._kept |= self._found

    def of(
        self,
        connection: Connection,
        table: Table,
        key: Mapping[str, Any],
        more: Mapping[str, Any] | None = None,
    ) -> int:
        """The id of the row that has *key*, inserted with *more* where there is none."""
        known = (table.name, *key.values())
        found = self._kept.get(known) or self._found.get(known)
        if found is None:
            found = self._found[known] = _id_of(connection, table, key, more)
        return found


class TakenOver(Exception):
    """A trial has attempts that this process does not know of: another one has it."""


def take_over(
    connection: Connection, trial_id: int, attempts: int, from_epoch: int, now: datetime
) -> tuple[float, str | None]:
    """End the *attempts* on a trial and forget what they did past *from_epoch*.

    Returns:
        the seconds of training until then, and the last checkpoint.

    Raises:
        TakenOver: there are more attempts, or one came to an end.
    """
    earlier = connection.execute(_ATTEMPTS, {"trial": trial_id}).all()
    if len(earlier) != attempts or any(Status(row.state).is_final for row in earlier):
        raise TakenOver
    if not earlier:
        return 0.0, None
    run_ids = [row.run_id for row in earlier]
    connection.execute(
        update(trial_run)
        .where(trial_run.c.run_id.in_(run_ids), trial_run.c.state == Status.RUNNING.value)
        .values(
            state=Status.PREEMPTED.value,
            reason=literal("lost with process ") + trial_run.c.worker,
            lease_until=None,
            ended_at=now,
        )
    )
    outdated = epoch_metric.c.epoch > from_epoch
    connection.execute(delete(epoch_metric).where(epoch_metric.c.run_id.in_(run_ids), outdated))
    saved = [row.checkpoint_uri for row in earlier if row.checkpoint_uri is not None]
    return seconds_up_to(connection, run_ids, from_epoch), saved[-1] if saved else None


def insert_attempt(connection: Connection, values: Mapping[str, Any]) -> int:
    """The id of the new run.

    Raises:
        TakenOver: another process has begun the same attempt; what was written is to be undone.
    """
    try:
        return insert_row(connection, trial_run, values)
    except IntegrityError as error:  # not on SQLite, where we hold the lock
        if "uq_hpo_trial_run_trial_attempt" in str(error.orig):
            raise TakenOver from error
        raise


def states(connection: Connection, run_ids: Iterable[int]) -> dict[int, str]:
    """The state of each run, locked until the transaction ends."""
    rows = connection.execute(_STATES, {"runs": list(run_ids)})
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


def update_runs(connection: Connection, news: Mapping[int, Mapping[str, Any]]) -> None:
    """Set columns of runs, by run id; those of which the same is known in one go."""
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for run_id, values in news.items():
        row = {"held": run_id, **{f"new_{name}": value for name, value in values.items()}}
        alike.setdefault(tuple(values), []).append(row)
    for names, rows in alike.items():
        connection.execute(_update_of(names), rows)


@cache
def _update_of(names: tuple[str, ...]) -> Update:
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    return update(trial_run).where(trial_run.c.run_id == bindparam("held")).values(values)


def save_points(connection: Connection, points: Sequence[Point], ids: Ids) -> None:
    """Insert *points*."""
    if not points:
        return
    metrics = metric_ids(connection, {point.metric for point in points}, ids)
    rows = [
        (run_id, metrics[metric], split, epoch, value, seconds)
        for run_id, metric, split, epoch, value, seconds in points
    ]
    insert_rows(connection, epoch_metric, rows)


def metric_ids(connection: Connection, names: Iterable[str], ids: Ids) -> dict[str, int]:
    """The id of each metric, by name."""
    return {name: ids.of(connection, models.metric, {"name": name}) for name in sorted(names)}


def insert_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert *rows*, each with a value for every column of *table*, in their order."""
    if not rows:
        return
    if connection.dialect.driver == "psycopg":
        _copy(connection, table, rows)
    else:
        names = table.c.keys()
        connection.execute(
            _insert_into(table), [dict(zip(names, row, strict=True)) for row in rows]
        )


def _copy(connection: Connection, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    """What an insert does, by PostgreSQL's COPY: a fourth of the time."""
    columns = ", ".join(table.c.keys())
    statement = f"COPY {table.name} ({columns}) FROM STDIN"
    dbapi: Any = connection.dialect.loaded_dbapi
    cursor: Any = connection.connection.cursor()
    try:
        with cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except dbapi.Error as error:  # SQLAlchemy, which would have wrapped it, was not asked
        raise DBAPIError.instance(
            statement, None, error, dbapi.Error, dialect=connection.dialect
        ) from error


def part_rows(
    connection: Connection, parts: Sequence[tuple[str, Component, Mapping[str, Any]]], ids: Ids
) -> list[dict[str, Any]]:
    """Rows of ``hpo_run_plugin``, but for the run."""
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
                "role": role,
                "position": sum(row["role"] == role for row in rows),
                "plugin_id": ids.of(connection, models.plugin, described),
                "params_json": _json(params),
            }
        )
    return rows


def parts_of(plugin_ids: Iterable[int]) -> str:
    """What ``hpo_trial_run.parts`` says of a run with these components."""
    return ",".join(map(str, sorted(plugin_ids)))


def save_parts(connection: Connection, run_id: int, rows: Iterable[Mapping[str, Any]]) -> None:
    of_run = [{"run_id": run_id, **row} for row in rows]
    if of_run:
        connection.execute(_insert_into(models.run_plugin), of_run)


def environment_id(
    connection: Connection, environment: Mapping[str, Any], ids: Ids | None = None
) -> int:
    text = _json(environment)
    key = {"sha256": hashlib.sha256(text.encode()).hexdigest()}
    return (ids or Ids()).of(connection, models.environment, key, {"json": text})


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
    key = connection.execute(_insert_into(table), dict(values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def number(value: float | None) -> float | None:
    """NaN is missing; infinity is kept. SQLite alone drops the sign of -0.0."""
    return None if value is None or value != value else float(value)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True, default=str)
