"""How runs ended, in an index in the order of their ends: budget curves read nothing else."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ended = sa.text("state NOT IN ('running', 'stopped', 'preempted')")
    op.create_index(
        "ix_hpo_trial_run_ended",
        "hpo_trial_run",
        ["study_id", "ended_at", "trial_id", "number", "state", "value", "seconds"],
        sqlite_where=ended,
        postgresql_where=ended,
    )
