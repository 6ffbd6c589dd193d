"""The ``hpo_*`` tables as they are now; how they came to be is in ``migrations/``.

Study and trial ids are Optuna's, but no foreign key points at Optuna's tables: those are
Optuna's to create, migrate and empty.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)


class UTCDateTime(TypeDecorator[datetime]):
    """An aware time in, UTC in the database, an aware UTC time out; a naive time is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone cannot be stored: {value!r}")
        in_utc = value.astimezone(UTC)
        return in_utc if dialect.name == "postgresql" else in_utc.replace(tzinfo=None)

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,
    ) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

study = Table(
    "hpo_study",
    metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),  # Optuna's
    Column("name", String(255), nullable=False),
    Column("arm", String(255), nullable=False),
    Column("spec_json", Text, nullable=False),
    Column("space_json", Text, nullable=False),
    Column("space_hash", String(64), nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    UniqueConstraint("name", "arm", name="uq_hpo_study_name_arm"),
)

environment = Table(
    "hpo_environment",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("json", Text, nullable=False),
    UniqueConstraint("sha256", name="uq_hpo_environment_sha256"),
)

# word by word what hpo_v_budget asks: a database uses a part of an index for nothing else
_ENDED = text("state NOT IN ('running', 'stopped', 'preempted')")

trial_run = Table(
    "hpo_trial_run",
    metadata,
    Column("run_id", Integer, primary_key=True),
    Column(
        "study_id",
        Integer,
        ForeignKey("hpo_study.study_id", name="fk_hpo_trial_run_study", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("trial_id", Integer, nullable=False),  # Optuna's
    Column("number", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", String(32), nullable=False),
    Column("reason", Text),
    Column("seed", Text, nullable=False),  # JSON, by purpose
    Column("recipe_json", Text, nullable=False),
    Column("value", Double),
    Column("epochs", Integer, nullable=False),
    Column("from_epoch", Integer, nullable=False),
    Column("seconds", Double, nullable=False, server_default=text("0")),  # of all attempts
    Column("worker", String(255), nullable=False),
    Column("device", String(255), nullable=False),
    Column("lease_until", UTCDateTime),
    Column("started_at", UTCDateTime, nullable=False),
    Column("ended_at", UTCDateTime),
    Column("checkpoint_uri", Text),
    Column(
        "env_id",
        Integer,
        ForeignKey("hpo_environment.id", name="fk_hpo_trial_run_environment"),
        nullable=False,
    ),
    # the ids of its components, sorted: who has the same has the same rows of hpo_run_plugin
    Column("parts", Text, nullable=False, server_default=text("''")),
    UniqueConstraint("trial_id", "attempt", name="uq_hpo_trial_run_trial_attempt"),
    Index("ix_hpo_trial_run_state_lease", "state", "lease_until"),
    Index("ix_hpo_trial_run_study", "study_id", "parts"),
    Index(  # all that a budget curve reads; a run enters it once, with its end
        "ix_hpo_trial_run_ended",
        *("study_id", "ended_at", "trial_id", "number", "state", "value", "seconds"),
        sqlite_where=_ENDED,
        postgresql_where=_ENDED,
    ),
    sqlite_autoincrement=True,  # a run id fences off late writers, so none may come twice
)

metric = Table(
    "hpo_metric",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("unit", String(64)),
    Column("direction", String(16)),
    UniqueConstraint("name", name="uq_hpo_metric_name"),
)

epoch_metric = Table(
    "hpo_epoch_metric",
    metadata,
    Column(
        "run_id",
        Integer,
        ForeignKey("hpo_trial_run.run_id", name="fk_hpo_epoch_metric_run", ondelete="CASCADE"),
        nullable=False,
    ),
    Column(
        "metric_id",
        Integer,
        ForeignKey("hpo_metric.id", name="fk_hpo_epoch_metric_metric"),
        nullable=False,
    ),
    Column("split", String(32), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("value", Double),
    Column("seconds", Double),  # of the whole epoch, the same in each of its rows
    PrimaryKeyConstraint("run_id", "metric_id", "split", "epoch", name="pk_hpo_epoch_metric"),
    sqlite_with_rowid=False,
)

plugin = Table(
    "hpo_plugin",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("name", String(255), nullable=False),  # the component's id
    Column("version", Integer, nullable=False),  # the component's
    Column("distribution", String(255), nullable=False),
    Column("distribution_version", String(64), nullable=False),
    Column("sha256", String(64)),
    UniqueConstraint(
        "kind",
        "name",
        "version",
        "distribution",
        "distribution_version",
        "sha256",
        name="uq_hpo_plugin_all",
    ),
)

run_plugin = Table(
    "hpo_run_plugin",
    metadata,
    Column(
        "run_id",
        Integer,
        ForeignKey("hpo_trial_run.run_id", name="fk_hpo_run_plugin_run", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("role", String(32), nullable=False),
    Column("position", Integer, nullable=False),  # within the role, from 0
    Column(
        "plugin_id",
        Integer,
        ForeignKey("hpo_plugin.id", name="fk_hpo_run_plugin_plugin"),
        nullable=False,
    ),
    Column("params_json", Text, nullable=False),
    PrimaryKeyConstraint("run_id", "role", "position", name="pk_hpo_run_plugin"),
)

verdict = Table(
    "hpo_verdict",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(255), nullable=False),  # the study's
    Column("kind", String(16), nullable=False),  # recipe or arm
    Column("number", Integer, nullable=False),  # counts from 0 within study and kind
    Column("plan_json", Text, nullable=False),  # fixed before the first run
    Column("outcome", String(16)),
    Column("leader", String(255)),
    Column("seeds", Integer),
    Column("said", Text),  # the sentences, one a line
    Column("verdict_json", Text),
    Column("created_at", UTCDateTime, nullable=False),
    Column("updated_at", UTCDateTime, nullable=False),
    UniqueConstraint("name", "kind", "number", name="uq_hpo_verdict_name_kind_number"),
)

look = Table(
    "hpo_look",
    metadata,
    Column(
        "verdict_id",
        Integer,
        ForeignKey("hpo_verdict.id", name="fk_hpo_look_verdict", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("seeds", Integer, nullable=False),
    Column("other", String(255), nullable=False),
    Column("leader", String(255), nullable=False),
    Column("alpha", Double, nullable=False),
    Column("wins", Integer, nullable=False),
    Column("losses", Integer, nullable=False),
    Column("ties", Integer, nullable=False),
    Column("mean", Double),
    Column("low", Double),
    Column("high", Double),
    Column("p", Double),
    Column("outcome", String(16), nullable=False),
    PrimaryKeyConstraint("verdict_id", "seeds", "other", name="pk_hpo_look"),
)

verdict_run = Table(
    "hpo_verdict_run",
    metadata,
    Column(
        "verdict_id",
        Integer,
        ForeignKey("hpo_verdict.id", name="fk_hpo_verdict_run_verdict", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("stage", String(16), nullable=False),  # screen or confirm
    Column("recipe", String(255), nullable=False),  # as the plan calls it
    Column("seed", Integer, nullable=False),  # which of the common seeds, from 0
    Column("seeds_json", Text, nullable=False),
    Column("state", String(32), nullable=False),
    Column("reason", Text),
    Column("value", Double),  # the verdict's metric on the test split; validation when screening
    Column("metrics_json", Text, nullable=False),  # every metric on the test split
    Column("epochs", Integer, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("worker", String(255), nullable=False),
    Column("device", String(255), nullable=False),
    Column("ended_at", UTCDateTime, nullable=False),
    Column(
        "env_id",
        Integer,
        ForeignKey("hpo_environment.id", name="fk_hpo_verdict_run_environment"),
        nullable=False,
    ),
    PrimaryKeyConstraint("verdict_id", "stage", "recipe", "seed", name="pk_hpo_verdict_run"),
)

verdict_epoch = Table(
    "hpo_verdict_epoch",
    metadata,
    Column("verdict_id", Integer, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("recipe", String(255), nullable=False),
    Column("seed", Integer, nullable=False),
    Column(
        "metric_id",
        Integer,
        ForeignKey("hpo_metric.id", name="fk_hpo_verdict_epoch_metric"),
        nullable=False,
    ),
    Column("split", String(32), nullable=False),  # never test: those are in metrics_json
    Column("epoch", Integer, nullable=False),
    Column("value", Double),
    Column("seconds", Double),  # of the whole epoch, the same in each of its rows
    PrimaryKeyConstraint(
        "verdict_id",
        "stage",
        "recipe",
        "seed",
        "metric_id",
        "split",
        "epoch",
        name="pk_hpo_verdict_epoch",
    ),
    ForeignKeyConstraint(
        ["verdict_id", "stage", "recipe", "seed"],
        [f"hpo_verdict_run.{name}" for name in ("verdict_id", "stage", "recipe", "seed")],
        name="fk_hpo_verdict_epoch_run",
        ondelete="CASCADE",
    ),
    sqlite_with_rowid=False,
)

finding = Table(
    "hpo_finding",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(255), nullable=False),  # the study's
    Column("kind", String(32), nullable=False),
    Column("arm", String(255)),
    Column("evidence", Text, nullable=False),
    Column("advice", Text, nullable=False),
    Column("found_at", UTCDateTime, nullable=False),
    Index("ix_hpo_finding_name", "name"),
)
