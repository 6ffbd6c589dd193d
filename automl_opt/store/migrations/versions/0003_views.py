"""The seconds of a trial beside its run, where no retention of epochs can take them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    seconds = sa.Column("seconds", sa.Double, nullable=False, server_default=sa.text("0"))
    op.add_column("hpo_trial_run", seconds)
    # of all attempts up to this one; every row of an epoch carries the epoch's seconds
    op.execute("""
        UPDATE hpo_trial_run SET seconds = coalesce((
            SELECT sum(e.seconds) FROM (
                SELECT max(m.seconds) AS seconds
                FROM hpo_trial_run r
                JOIN hpo_epoch_metric m ON m.run_id = r.run_id
                WHERE r.trial_id = hpo_trial_run.trial_id AND r.attempt <= hpo_trial_run.attempt
                GROUP BY m.epoch
            ) e
        ), 0)
    """)
