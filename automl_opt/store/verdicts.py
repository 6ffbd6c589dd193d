"""Verdicts in the database: their plans, runs and looks, and what audits found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, delete, func, insert, select, update

from automl_opt.core.result import EpochReport, Status
from automl_opt.core.seeds import Seeds
from automl_opt.core.verdict import Finding, Look
from automl_opt.store import models, statements
from automl_opt.store.engine import reading, writing
from automl_opt.store.rows import VerdictRow, VerdictRun


class Verdicts:
    """Writes and reads what is judged; every call is one transaction."""

    engine: Engine

    def verdicts(self, name: str, kind: str) -> list[VerdictRow]:
        """The verdicts of one *kind* on the study *name*, oldest first."""
        table = models.verdict
        query = select(table).where(table.c.name == name, table.c.kind == kind)
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(table.c.number)).mappings()
            return [VerdictRow(**row) for row in rows]

    def begin_verdict(self, name: str, kind: str, plan: Mapping[str, Any]) -> VerdictRow:
        """A new verdict on the study *name*, numbered after those before it."""
        table, now = models.verdict, datetime.now(UTC)
        with writing(self.engine) as connection:
            mine = (table.c.name == name) & (table.c.kind == kind)
            last = connection.scalar(select(func.max(table.c.number)).where(mine))
            values = {
                "name": name,
                "kind": kind,
                "number": 0 if last is None else last + 1,
                "plan_json": json.dumps(plan, sort_keys=True),
                "created_at": now,
                "updated_at": now,
            }
            statements.insert_row(connection, table, values)
        return self.verdicts(name, kind)[-1]

    def save_verdict(
        self,
        row: VerdictRow,
        *,
        outcome: str,
        leader: str | None,
        seeds: int,
        said: Sequence[str],
        data: Mapping[str, Any],
        looks: Sequence[Look] = (),
    ) -> None:
        """What the verdict says now, in the place of what it said before."""
        described = {
            "outcome": outcome,
            "leader": leader,
            "seeds": seeds,
            "said": "\n".join(said),
            "verdict_json": json.dumps(data, sort_keys=True),
            "updated_at": datetime.now(UTC),
        }
        left_out = ("forecast",)
        pairs = [
            {
                "verdict_id": row.id,
                **{key: value for key, value in asdict(pair).items() if key not in left_out},
                "outcome": pair.outcome.value,
            }
            for look in looks
            for pair in look.pairs
        ]
        with writing(self.engine) as connection:
            table = models.verdict
            connection.execute(update(table).where(table.c.id == row.id).values(described))
            connection.execute(delete(models.look).where(models.look.c.verdict_id == row.id))
            if pairs:
                connection.execute(insert(models.look), pairs)

    def save_verdict_run(
        self,
        row: VerdictRow,
        run: VerdictRun,
        environment: Mapping[str, Any],
        reports: Iterable[EpochReport] = (),
    ) -> None:
        """One run that has ended, and its epochs."""
        reports = list(reports)
        names = {each.metric for report in reports for each in report.measurements}
        with writing(self.engine) as connection:
            connection.execute(
                insert(models.verdict_run).values(
                    verdict_id=row.id,
                    stage=run.stage,
                    recipe=run.recipe,
                    seed=run.seed,
                    seeds_json=json.dumps(asdict(run.seeds)),
                    state=run.status.value,
                    reason=run.reason,
                    value=run.value,
                    metrics_json=json.dumps(dict(run.metrics), sort_keys=True),
                    epochs=run.epochs,
                    seconds=run.seconds,
                    worker=run.worker,
                    device=run.device,
                    ended_at=datetime.now(UTC),
                    env_id=statements.environment_id(connection, environment),
                )
            )
            metrics = statements.metric_ids(connection, names, statements.Ids())
            points = [
                (
                    *(row.id, run.stage, run.recipe, run.seed),
                    *(metrics[each.metric], each.split, report.epoch),
                    *(statements.number(each.value), statements.number(report.seconds)),
                )
                for report in reports
                for each in report.measurements
            ]
            statements.insert_rows(connection, models.verdict_epoch, points)

    def verdict_runs(self, row: VerdictRow) -> list[VerdictRun]:
        """The runs of a verdict, by stage, recipe and seed."""
        table = models.verdict_run
        query = select(table).where(table.c.verdict_id == row.id)
        with reading(self.engine) as connection:
            found = connection.execute(query.order_by(table.c.stage, table.c.recipe, table.c.seed))
            return [
                VerdictRun(
                    stage=each.stage,
                    recipe=each.recipe,
                    seed=each.seed,
                    seeds=Seeds(**json.loads(each.seeds_json)),
                    status=Status(each.state),
                    reason=each.reason,
                    value=each.value,
                    metrics=json.loads(each.metrics_json),
                    epochs=each.epochs,
                    seconds=each.seconds,
                    worker=each.worker,
                    device=each.device,
                )
                for each in found
            ]

    def confirmed_curves(
        self, row: VerdictRow, metric: str, split: str
    ) -> dict[str, dict[int, list[tuple[int, float]]]]:
        """By recipe and common seed ``(epoch, value)`` of *metric* on *split*, by epoch.

        Epochs whose value was no number are left out; runs without any are absent.
        """
        table = models.verdict_epoch
        query = (
            select(table.c.recipe, table.c.seed, table.c.epoch, table.c.value)
            .join(models.metric, models.metric.c.id == table.c.metric_id)
            .where(
                table.c.verdict_id == row.id,
                table.c.stage == "confirm",
                models.metric.c.name == metric,
                table.c.split == split,
                table.c.value.is_not(None),
            )
            .order_by(table.c.recipe, table.c.seed, table.c.epoch)
        )
        found: dict[str, dict[int, list[tuple[int, float]]]] = {}
        with reading(self.engine) as connection:
            for each in connection.execute(query):
                curve = found.setdefault(each.recipe, {}).setdefault(each.seed, [])
                curve.append((each.epoch, each.value))
        return found

    def save_findings(self, name: str, findings: Sequence[Finding]) -> None:
        """What the last audit of the study *name* found, in the place of the one before."""
        table, now = models.finding, datetime.now(UTC)
        rows = [{**asdict(finding), "name": name, "found_at": now} for finding in findings]
        with writing(self.engine) as connection:
            connection.execute(delete(table).where(table.c.name == name))
            if rows:
                connection.execute(insert(table), rows)

    def findings(self, name: str) -> list[Finding]:
        """What the last audit of the study *name* found."""
        table = models.finding
        columns = (table.c.kind, table.c.arm, table.c.evidence, table.c.advice)
        query = select(*columns).where(table.c.name == name).order_by(table.c.id)
        with reading(self.engine) as connection:
            return [Finding(**row) for row in connection.execute(query).mappings()]
