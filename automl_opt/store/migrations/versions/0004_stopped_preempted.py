"""Attempts that were stopped and attempts whose process was lost are told apart."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # who took over a trial that nobody had put down ended its attempt and began the next at once
    op.execute("""
        UPDATE hpo_trial_run SET state = CASE WHEN EXISTS (
            SELECT 1 FROM hpo_trial_run n
            WHERE n.trial_id = hpo_trial_run.trial_id AND n.attempt = hpo_trial_run.attempt + 1
                AND n.started_at = hpo_trial_run.ended_at
        ) THEN 'preempted' ELSE 'stopped' END
        WHERE state = 'interrupted'
    """)
