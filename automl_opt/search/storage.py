"""Optuna's tables, written a trial at a time and read by columns.

Optuna's own storage writes each report, each attribute and the state in a transaction of its own,
and reads a history object by object. The tables and what is in them are the same: plain Optuna
reads what is written here. Below its public methods Optuna has no interface for that, so this
stands on private ones of the one minor version that we allow.
"""

from __future__ import annotations

import gc
import json
from collections import defaultdict
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session, sqlalchemy, sqlalchemy_exc
from optuna.trial import FrozenTrial, TrialState

SQLError: type[Exception] = sqlalchemy_exc.SQLAlchemyError
"""What Optuna lets through where it makes its tables; elsewhere it wraps it."""

bindparam, select = sqlalchemy.bindparam, sqlalchemy.select
_STUDIES = models.StudyModel.__table__
_TRIALS = models.TrialModel.__table__
_REPORTS = models.TrialIntermediateValueModel.__table__

# made once: to make a statement takes SQLAlchemy longer than SQLite to run it
_LOCK_STUDY = (
    select(_STUDIES.c.study_id).where(_STUDIES.c.study_id == bindparam("id")).with_for_update()
)
_LOCK_TRIAL = select(_TRIALS.c.state).where(_TRIALS.c.trial_id == bindparam("id")).with_for_update()
_NEWEST_BEFORE = (
    select(_TRIALS.c.number)
    .where(_TRIALS.c.study_id == bindparam("study"), _TRIALS.c.trial_id < bindparam("trial"))
    .order_by(_TRIALS.c.trial_id.desc())
    .limit(1)
)
_INSERT_TRIAL = _TRIALS.insert()
_INSERT_PARAM = models.TrialParamModel.__table__.insert()
_INSERT_VALUE = models.TrialValueModel.__table__.insert()
_DELETE_REPORTS = _REPORTS.delete().where(_REPORTS.c.trial_id == bindparam("id"))
_INSERT_REPORT = _REPORTS.insert()
_END_TRIAL = (
    _TRIALS.update()
    .where(_TRIALS.c.trial_id == bindparam("id"))
    .values(state=bindparam("ended"), datetime_complete=bindparam("completed"))
)


class Storage(RDBStorage):
    """What :class:`optuna.storages.RDBStorage` is, with a trial begun and ended at once."""

    def __init__(self, url: str, engine_kwargs: dict[str, Any] | None = None) -> None:
        _create_tables(url, engine_kwargs or {})
        try:
            super().__init__(url, engine_kwargs)
        except BaseException:
            if hasattr(self, "engine"):
                self.engine.dispose()
            raise

    def begin_trial(self, study_id: int, trial: FrozenTrial) -> int | None:
        """Write the running *trial* under its number, whole or not at all; its id.

        Returns:
            ``None`` where the number is not the study's next; nothing is written then.
        """
        with _create_scoped_session(self.scoped_session) as session:
            connection = session.connection()
            _locked(connection, _LOCK_STUDY, study_id)
            row = {
                "study_id": study_id,
                "number": trial.number,
                "state": trial.state,
                "datetime_start": _utc(trial.datetime_start),
            }
            # SQLite locks here, so what is read below stays true
            trial_id = int(connection.execute(_INSERT_TRIAL, row).inserted_primary_key[0])
            newest = connection.scalar(_NEWEST_BEFORE, {"study": study_id, "trial": trial_id})
            if newest != (trial.number - 1 if trial.number else None):
                session.rollback()
                return None
            rows = [
                {
                    "trial_id": trial_id,
                    "param_name": name,
                    "param_value": trial.distributions[name].to_internal_repr(value),
                    "distribution_json": distribution_to_json(trial.distributions[name]),
                }
                for name, value in trial.params.items()
            ]
            if rows:
                connection.execute(_INSERT_PARAM, rows)
            _SYSTEM_ATTRS.insert(connection, trial_id, trial.system_attrs)
            return trial_id

    def end_trial(
        self, trial_id: int, trial: FrozenTrial, user_attrs: Mapping[str, Any] | None = None
    ) -> None:
        """Write how a running trial ended, whole or not at all: reports, attributes, values, state.

        Nothing is written where it has ended: another process knew, and was quicker.
        """
        with _create_scoped_session(self.scoped_session) as session:
            connection = session.connection()
            if _locked(connection, _LOCK_TRIAL, trial_id).is_finished():
                return
            _write_reports(connection, trial_id, trial.intermediate_values)
            _SYSTEM_ATTRS.write(connection, trial_id, trial.system_attrs)
            _USER_ATTRS.write(connection, trial_id, user_attrs or {})
            _write_values(connection, trial_id, trial.values or ())
            completed = _utc(trial.datetime_complete)
            connection.execute(
                _END_TRIAL, {"id": trial_id, "ended": trial.state, "completed": completed}
            )

    def changed(
        self, known: Mapping[int, int], running: Collection[int]
    ) -> dict[int, list[FrozenTrial]]:
        """What other processes did since we looked: trials begun, and of the *running* those ended.

        Args:
            known: the newest trial's id that is known of each study, -1 where it had none.

        Returns:
            by study, its trials in the order of their numbers.
        """
        trial = models.TrialModel
        new = trial.trial_id > min(known.values())
        ended = trial.trial_id.in_(running) & (trial.state != TrialState.RUNNING)
        with _create_scoped_session(self.scoped_session) as session:
            rows = (
                session.query(trial.study_id, trial.trial_id)
                .filter(trial.study_id.in_(known), new | ended)
                .order_by(trial.number)
            )
            found: dict[int, list[int]] = defaultdict(list)
            for study_id, trial_id in rows:
                if trial_id > known[study_id] or trial_id in running:
                    found[study_id].append(trial_id)
            return {
                study_id: _History(session, study_id, None, -1, among=trial_ids).trials()
                for study_id, trial_ids in found.items()
            }

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """By columns, one query a table; a few trials among many are left to Optuna."""
        if included_trial_ids:
            found: list[FrozenTrial] = super()._get_trials(
                study_id, states, included_trial_ids, trial_id_greater_than
            )
            return found
        with _create_scoped_session(self.scoped_session) as session:
            models.StudyModel.find_or_raise_by_id(study_id, session)
            with _uncollected():
                return _History(session, study_id, states, trial_id_greater_than).trials()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of cycles, which else looks again and again at all that is kept."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class _History:
    """The trials of a study, gathered from the rows of six tables."""

    def __init__(
        self,
        session: Any,
        study_id: int,
        states: Container[TrialState] | None,
        after: int,
        among: Sequence[int] | None = None,
    ) -> None:
        trial = models.TrialModel
        self._session = session
        self._wanted = [trial.study_id == study_id]
        if states is not None:
            self._wanted.append(trial.state.in_(states))
        if after > -1:
            self._wanted.append(trial.trial_id > after)
        if among is not None:
            self._wanted.append(trial.trial_id.in_(among))

    def trials(self) -> list[FrozenTrial]:
        trial, value, param = models.TrialModel, models.TrialValueModel, models.TrialParamModel
        report = models.TrialIntermediateValueModel
        # first, for others write meanwhile: what a state says is there is there when it is read
        rows = (
            self._session.query(
                trial.trial_id,
                trial.number,
                trial.state,
                trial._datetime_start_utc,
                trial._datetime_complete_utc,
            )
            .filter(*self._wanted)
            .order_by(trial.trial_id)
            .all()
        )
        values: dict[int, list[float]] = defaultdict(list)
        for trial_id, number, kind in self._rows(
            value, value.value, value.value_type, order=value.objective
        ):
            values[trial_id].append(value.stored_repr_to_value(number, kind))
        params: dict[int, dict[str, Any]] = defaultdict(dict)
        distributions: dict[int, dict[str, BaseDistribution]] = defaultdict(dict)
        known: dict[str, BaseDistribution] = {}
        columns = (param.param_name, param.param_value, param.distribution_json)
        for trial_id, name, number, text in self._rows(param, *columns, order=param.param_id):
            distribution = known.get(text)
            if distribution is None:
                distribution = known[text] = json_to_distribution(text)
            params[trial_id][name] = distribution.to_external_repr(number)
            distributions[trial_id][name] = distribution
        reports: dict[int, dict[int, float]] = defaultdict(dict)
        columns = (report.step, report.intermediate_value, report.intermediate_value_type)
        finite = report.TrialIntermediateValueType.FINITE
        for trial_id, step, number, kind in self._rows(
            report, *columns, order=report.trial_intermediate_value_id
        ):
            reports[trial_id][step] = (
                number if kind is finite else report.stored_repr_to_intermediate_value(number, kind)
            )
        user = self._attrs(models.TrialUserAttributeModel)
        system = self._attrs(models.TrialSystemAttributeModel)
        return [
            FrozenTrial(
                number=number,
                state=state,
                value=None,
                values=values.get(trial_id) if state.is_finished() else None,
                datetime_start=_local(start),
                datetime_complete=_local(complete),
                params=params.get(trial_id, {}),
                distributions=distributions.get(trial_id, {}),
                user_attrs=user.get(trial_id, {}),
                system_attrs=system.get(trial_id, {}),
                intermediate_values=reports.get(trial_id, {}),
                trial_id=trial_id,
            )
            for trial_id, number, state, start, complete in rows
        ]

    def _attrs(self, model: Any) -> dict[int, dict[str, Any]]:
        found: dict[int, dict[str, Any]] = defaultdict(dict)
        for trial_id, key, text in self._rows(model, model.key, model.value_json):
            found[trial_id][key] = json.loads(text)
        return found

    def _rows(self, model: Any, *columns: Any, order: Any = None) -> Any:
        rows = self._session.query(model.trial_id, *columns).join(model.trial).filter(*self._wanted)
        return rows if order is None else rows.order_by(order)


class _Attrs:
    """What is written to one of the tables of attributes."""

    def __init__(self, table: Any) -> None:
        self._insert = table.insert()
        mine = table.c.trial_id == bindparam("id")
        self._delete = table.delete().where(
            mine, table.c.key.in_(bindparam("keys", expanding=True))
        )

    def insert(self, connection: Any, trial_id: int, attrs: Mapping[str, Any]) -> None:
        if not attrs:
            return
        rows = [
            {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
            for key, value in attrs.items()
        ]
        connection.execute(self._insert, rows)

    def write(self, connection: Any, trial_id: int, attrs: Mapping[str, Any]) -> None:
        """Insert *attrs* in the place of those of the same keys; others' stay."""
        if attrs:
            connection.execute(self._delete, {"id": trial_id, "keys": list(attrs)})
            self.insert(connection, trial_id, attrs)


_SYSTEM_ATTRS = _Attrs(models.TrialSystemAttributeModel.__table__)
_USER_ATTRS = _Attrs(models.TrialUserAttributeModel.__table__)


def _create_tables(url: str, engine_kwargs: Mapping[str, Any]) -> None:
    """Make Optuna's tables where SQLite has none: all of them, or none if this process is killed.

    Optuna makes them one by one there, and a table that a kill has left without its index stays so:
    two studies could then have one name. Elsewhere Optuna's own way is a transaction.
    """
    engine = sqlalchemy.engine.create_engine(url, **engine_kwargs)
    try:
        if engine.dialect.name != "sqlite":
            return
        with engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table(_STUDIES.name):
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # Python's driver would begin nothing
                models.BaseModel.metadata.create_all(connection)
                connection.commit()
    finally:
        engine.dispose()


def _locked(connection: Any, query: Any, key: int) -> Any:
    """What *query* says of a row that is ours alone, where the database can, until we commit.

    Raises:
        KeyError: there is no such row.
    """
    found = connection.scalar(query, {"id": key})
    if found is None:
        raise KeyError(f"Optuna's tables have no such row as {key}")
    return found


def _write_reports(connection: Any, trial_id: int, reports: Mapping[int, float]) -> None:
    """What was reported, in the place of what an earlier version of ours may have half told."""
    if not reports:
        return
    stored = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
    rows = []
    for step, reported in reports.items():
        value, kind = stored(reported)
        rows.append(
            {
                "trial_id": trial_id,
                "step": step,
                "intermediate_value": value,
                "intermediate_value_type": kind,
            }
        )
    connection.execute(_DELETE_REPORTS, {"id": trial_id})
    connection.execute(_INSERT_REPORT, rows)


def _write_values(connection: Any, trial_id: int, values: Sequence[float]) -> None:
    rows = []
    for objective, number in enumerate(values):
        value, kind = models.TrialValueModel.value_to_stored_repr(number)
        rows.append(
            {"trial_id": trial_id, "objective": objective, "value": value, "value_type": kind}
        )
    if rows:
        connection.execute(_INSERT_VALUE, rows)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def _local(moment: datetime | None) -> datetime | None:
    """Optuna's tables hold UTC, its trials local time, neither with a zone."""
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
