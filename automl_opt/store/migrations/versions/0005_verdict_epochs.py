"""The epochs of the runs that a verdict stands on."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

RUN = ("verdict_id", "stage", "recipe", "seed")


def upgrade() -> None:
    op.create_table(
        "hpo_verdict_epoch",
        sa.Column("verdict_id", sa.Integer, nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("recipe", sa.String(255), nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column(
            "metric_id",
            sa.Integer,
            sa.ForeignKey("hpo_metric.id", name="fk_hpo_verdict_epoch_metric"),
            nullable=False,
        ),
        sa.Column("split", sa.String(32), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("seconds", sa.Double),
        sa.PrimaryKeyConstraint(*RUN, "metric_id", "split", "epoch", name="pk_hpo_verdict_epoch"),
        sa.ForeignKeyConstraint(
            RUN,
            [f"hpo_verdict_run.{name}" for name in RUN],
            name="fk_hpo_verdict_epoch_run",
            ondelete="CASCADE",
        ),
        sqlite_with_rowid=False,
    )
