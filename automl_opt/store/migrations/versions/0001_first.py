"""The first tables: studies, runs of trials, their epochs, and what they were made of."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    time = sa.DateTime(timezone=True)

    op.create_table(
        "hpo_study",
        sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("arm", sa.String(255), nullable=False),
        sa.Column("spec_json", sa.Text, nullable=False),
        sa.Column("space_json", sa.Text, nullable=False),
        sa.Column("space_hash", sa.String(64), nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.UniqueConstraint("name", "arm", name="uq_hpo_study_name_arm"),
    )
    op.create_table(
        "hpo_environment",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("json", sa.Text, nullable=False),
        sa.UniqueConstraint("sha256", name="uq_hpo_environment_sha256"),
    )
    op.create_table(
        "hpo_trial_run",
        sa.Column("run_id", sa.Integer, primary_key=True),
        sa.Column(
            "study_id",
            sa.Integer,
            sa.ForeignKey("hpo_study.study_id", name="fk_hpo_trial_run_study", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("trial_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("seed", sa.Text, nullable=False),
        sa.Column("recipe_json", sa.Text, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("epochs", sa.Integer, nullable=False),
        sa.Column("from_epoch", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(255), nullable=False),
        sa.Column("device", sa.String(255), nullable=False),
        sa.Column("lease_until", time),
        sa.Column("started_at", time, nullable=False),
        sa.Column("ended_at", time),
        sa.Column("checkpoint_uri", sa.Text),
        sa.Column(
            "env_id",
            sa.Integer,
            sa.ForeignKey("hpo_environment.id", name="fk_hpo_trial_run_environment"),
            nullable=False,
        ),
        sa.UniqueConstraint("trial_id", "attempt", name="uq_hpo_trial_run_trial_attempt"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_hpo_trial_run_state_lease", "hpo_trial_run", ["state", "lease_until"])
    op.create_index("ix_hpo_trial_run_study", "hpo_trial_run", ["study_id"])
    op.create_table(
        "hpo_metric",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("unit", sa.String(64)),
        sa.Column("direction", sa.String(16)),
        sa.UniqueConstraint("name", name="uq_hpo_metric_name"),
    )
    op.create_table(
        "hpo_epoch_metric",
        sa.Column(
            "run_id",
            sa.Integer,
            sa.ForeignKey(
                "hpo_trial_run.run_id", name="fk_hpo_epoch_metric_run", ondelete="CASCADE"
            ),
            nullable=False,
        ),
        sa.Column(
            "metric_id",
            sa.Integer,
            sa.ForeignKey("hpo_metric.id", name="fk_hpo_epoch_metric_metric"),
            nullable=False,
        ),
        sa.Column("split", sa.String(32), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("seconds", sa.Double),
        sa.PrimaryKeyConstraint(
            "run_id", "metric_id", "split", "epoch", name="pk_hpo_epoch_metric"
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "hpo_plugin",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("distribution", sa.String(255), nullable=False),
        sa.Column("distribution_version", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.UniqueConstraint(
            "kind",
            "name",
            "version",
            "distribution",
            "distribution_version",
            "sha256",
            name="uq_hpo_plugin_all",
        ),
    )
    op.create_table(
        "hpo_run_plugin",
        sa.Column(
            "run_id",
            sa.Integer,
            sa.ForeignKey("hpo_trial_run.run_id", name="fk_hpo_run_plugin_run", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column(
            "plugin_id",
            sa.Integer,
            sa.ForeignKey("hpo_plugin.id", name="fk_hpo_run_plugin_plugin"),
            nullable=False,
        ),
        sa.Column("params_json", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "role", "position", name="pk_hpo_run_plugin"),
    )
