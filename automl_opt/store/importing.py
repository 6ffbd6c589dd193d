"""Copies studies from another database of ours, with what Optuna's tables hold of them.

Every row gets a new id, and what refers to it follows. Optuna's tables are taken as they are: both
databases have to be of one version of Optuna.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    Select,
    Table,
    insert,
    inspect,
    select,
)

from automl_opt.core.errors import StoreError, did_you_mean
from automl_opt.core.result import Status
from automl_opt.store import models, statements
from automl_opt.store.engine import one_state, shown, writing
from automl_opt.store.statements import Ids

_BATCH = 10_000
_OF_STUDY: Final = ("study_directions", "study_user_attributes", "study_system_attributes")
_OF_TRIAL: Final = (
    "trial_params",
    "trial_values",
    "trial_intermediate_values",
    "trial_user_attributes",
    "trial_system_attributes",
)
_OPTUNA: Final = ("studies", "trials", *_OF_STUDY, *_OF_TRIAL, "alembic_version")
_RETUNED: Final = re.compile(r"\.retune\d+\.\d+$")
"""What the name of a study that was tuned again has behind the name of that study."""

_PARENTS: Final = "BaseGASampler:parent:"
"""Under it Optuna's genetic samplers keep trial ids; nothing else in either's tables holds any."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A study that was copied."""

    study: str
    arms: int
    trials: int


def import_studies(source: Engine, target: Engine, names: Sequence[str] = ()) -> list[Imported]:
    """Copy studies from *source* to *target*, all of them or, where one cannot be, none.

    Checkpoints are files of the other database and are left there: a trial that was stopped begins
    anew in the copy, and ends as it would have.

    Args:
        source: a database of our schema; nothing is written to it.
        target: another, with Optuna's tables.
        names: which studies, each with the re-tunings that its verdict stands on; all without any.

    Raises:
        StoreError: a study is not there, is there already, is in training, or is not in Optuna's
            tables; or these are of different versions.
    """
    with one_state(source) as origin, writing(target) as connection:
        return _Copy(origin, connection).studies(names)


class _Copy:
    """One copy, with the new ids by the old ones."""

    def __init__(self, origin: Connection, target: Connection) -> None:
        self._from, self._to = origin, target
        self._theirs, self._ours = _optunas_tables(origin), _optunas_tables(target)
        self._ids = Ids()
        self._study: dict[int, int] = {}
        self._trial: dict[int, int] = {}
        self._run: dict[int, int] = {}
        if _version(origin, self._theirs) != _version(target, self._ours):
            raise StoreError(
                f"{shown(origin.engine.url)}: its tables of Optuna are of another version than "
                f"those of {shown(target.engine.url)}; 'optuna storage upgrade' brings the older "
                "ones up to date"
            )

    def studies(self, names: Sequence[str]) -> list[Imported]:
        arms = self._arms(names)
        wanted = list(dict.fromkeys(arm["name"] for arm in arms))
        self._refuse_in_training([arm["study_id"] for arm in arms])
        self._refuse_known(wanted, [f"{arm['name']}/{arm['arm']}" for arm in arms])
        self._environment = self._known(models.environment, "sha256")
        self._metric = self._known(models.metric, "name")
        self._plugin = self._known(
            models.plugin, *(c.name for c in models.plugin.c if c.name != "id")
        )
        trials = dict.fromkeys(wanted, 0)
        for arm in arms:
            trials[arm["name"]] += self._optunas_study(arm)
            old = arm["study_id"]
            self._to.execute(insert(models.study), [{**arm, "study_id": self._study[old]}])
            self._runs(old)
        self._verdicts(wanted)
        count = [arm["name"] for arm in arms].count
        return [Imported(study=name, arms=count(name), trials=trials[name]) for name in wanted]

    def _arms(self, names: Sequence[str]) -> list[dict[str, Any]]:
        study = models.study
        found = [dict(row) for row in self._rows(select(study).order_by(study.c.study_id))]
        known = {arm["name"] for arm in found}
        for name in names:
            if name not in known:
                where = shown(self._from.engine.url)
                raise StoreError(f"{where} has no study {name!r}; {did_you_mean(name, known)}")
        return [arm for arm in found if not names or _RETUNED.sub("", arm["name"]) in names]

    def _refuse_in_training(self, study_ids: Sequence[int]) -> None:
        run = models.trial_run
        alive = (run.c.state == Status.RUNNING.value) & (run.c.lease_until > datetime.now(UTC))
        query = select(run.c.worker).where(run.c.study_id.in_(study_ids), alive)
        worker = self._from.scalar(query.limit(1))
        if worker is not None:
            raise StoreError(
                f"{shown(self._from.engine.url)}: a study is in training, by {worker}; "
                "stop it first, or wait for its end"
            )

    def _refuse_known(self, names: Sequence[str], optunas: Sequence[str]) -> None:
        where, theirs = shown(self._to.engine.url), self._ours["studies"]
        for table in (models.study, models.verdict, models.finding):
            taken = self._to.scalar(select(table.c.name).where(table.c.name.in_(names)).limit(1))
            if taken is not None:
                raise StoreError(
                    f"{where} has a study {taken!r} already, or what is left of one; nothing was "
                    "imported: name another --storage, or only other studies with --study"
                )
        query = select(theirs.c.study_name).where(theirs.c.study_name.in_(optunas))
        taken = self._to.scalar(query.limit(1))
        if taken is not None:
            raise StoreError(
                f"{where}: Optuna has a study {taken!r} there already; nothing was imported"
            )

    def _known(self, table: Table, *key: str) -> dict[int, int]:
        """By old id the id of the same row here, made where there is none."""
        found = {}
        for row in self._rows(select(table).order_by(table.c.id)):
            same = {name: row[name] for name in key}
            more = {name: row[name] for name in row if name not in ("id", *key)}
            found[row["id"]] = self._ids.of(self._to, table, same, more)
        return found

    def _optunas_study(self, arm: Mapping[str, Any]) -> int:
        """How many trials Optuna's tables have of the *arm*."""
        old, name = arm["study_id"], f"{arm['name']}/{arm['arm']}"
        studies, trials = self._theirs["studies"], self._theirs["trials"]
        found = self._from.scalar(select(studies.c.study_name).where(studies.c.study_id == old))
        if found != name:
            raise StoreError(
                f"{shown(self._from.engine.url)}: Optuna's tables have no study {name!r} any more; "
                "'automl-opt db prune' sweeps away what it left"
            )
        self._study[old] = statements.insert_row(
            self._to, self._ours["studies"], {"study_name": name}
        )
        query = select(trials).where(trials.c.study_id == old).order_by(trials.c.trial_id)
        before = len(self._trial)
        for rows in self._batches(query):
            self._trial |= self._inserted(self._ours["trials"], "trial_id", rows)
        for table in _OF_STUDY:
            column = self._theirs[table].c.study_id
            self._optunas_rows(table, column == old, "study_id", self._study)
        for table in _OF_TRIAL:
            column = self._theirs[table].c.trial_id
            of_study = select(trials.c.trial_id).where(trials.c.study_id == old)
            self._optunas_rows(table, column.in_(of_study), "trial_id", self._trial)
        return len(self._trial) - before

    def _optunas_rows(
        self, name: str, which: ColumnElement[bool], key: str, ids: Mapping[int, int]
    ) -> None:
        theirs = self._theirs[name]
        [own] = theirs.primary_key
        for rows in self._batches(select(theirs).where(which).order_by(own)):
            copies = [{**row, key: ids[row[key]]} for row in rows]
            for copy in copies:
                del copy[own.name]
                if name == "study_system_attributes" and copy["key"].startswith(_PARENTS):
                    parents = json.loads(copy["value_json"])
                    copy["value_json"] = json.dumps([self._trial[each] for each in parents])
            self._to.execute(insert(self._ours[name]), copies)

    def _runs(self, study_id: int) -> None:
        run = models.trial_run
        of_study = run.c.study_id == study_id
        for rows in self._batches(select(run).where(of_study).order_by(run.c.run_id)):
            copies = [
                {
                    **row,
                    "trial_id": self._trial[row["trial_id"]],
                    "env_id": self._environment[row["env_id"]],
                    "parts": statements.parts_of(
                        self._plugin[int(each)] for each in row["parts"].split(",") if each
                    ),
                    "checkpoint_uri": None,
                }
                for row in rows
            ]
            self._run |= self._inserted(run, "run_id", copies)
        ids = {"run_id": self._run, "plugin_id": self._plugin, "metric_id": self._metric}
        for table in (models.run_plugin, models.epoch_metric):
            query = select(table).join(run, run.c.run_id == table.c.run_id).where(of_study)
            self._rows_with(table, query, ids)

    def _verdicts(self, names: Sequence[str]) -> None:
        verdict, finding = models.verdict, models.finding
        query = select(verdict).where(verdict.c.name.in_(names)).order_by(verdict.c.id)
        for rows in self._batches(query):
            ids = {
                "verdict_id": self._inserted(verdict, "id", rows),
                "metric_id": self._metric,
                "env_id": self._environment,
            }
            for table in (models.look, models.verdict_run, models.verdict_epoch):
                of_verdict = table.c.verdict_id.in_(ids["verdict_id"])
                self._rows_with(table, select(table).where(of_verdict), ids)
        query = select(finding).where(finding.c.name.in_(names)).order_by(finding.c.id)
        for rows in self._batches(query):
            self._inserted(finding, "id", rows)

    def _rows_with(
        self, table: Table, query: Select[Any], ids: Mapping[str, Mapping[int, int]]
    ) -> None:
        """The rows that *query* finds of *table*, its references being *ids* by column."""
        new = [ids.get(column.name) for column in table.c]
        for rows in self._batches(query):
            copies = [
                tuple(
                    value if of is None else of[value]
                    for value, of in zip(row.values(), new, strict=True)
                )
                for row in rows
            ]
            statements.insert_rows(self._to, table, copies)

    def _inserted(
        self, table: Table, key: str, rows: Sequence[Mapping[str, Any]]
    ) -> dict[int, int]:
        """The new *key* of each row by the old one, in one order; its study is the new one."""
        copies = [{name: row[name] for name in row if name != key} for row in rows]
        for copy in copies:
            if "study_id" in copy:
                copy["study_id"] = self._study[copy["study_id"]]
        statement = insert(table).returning(table.c[key], sort_by_parameter_order=True)
        new = self._to.scalars(statement, copies).all()
        return {row[key]: each for row, each in zip(rows, new, strict=True)}

    def _batches(self, query: Select[Any]) -> Iterator[list[dict[str, Any]]]:
        found = self._from.execute(query, execution_options={"stream_results": True})
        for rows in found.mappings().partitions(_BATCH):
            yield [dict(row) for row in rows]

    def _rows(self, query: Select[Any]) -> Any:
        return self._from.execute(query).mappings().all()


def _optunas_tables(connection: Connection) -> dict[str, Table]:
    if not inspect(connection).has_table("trials"):
        raise StoreError(f"{shown(connection.engine.url)} has no tables of Optuna")
    found = MetaData()
    found.reflect(connection, only=_OPTUNA)
    return dict(found.tables)


def _version(connection: Connection, tables: Mapping[str, Table]) -> Any:
    return connection.scalar(select(tables["alembic_version"].c.version_num))
