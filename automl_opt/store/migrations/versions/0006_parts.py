"""Which components a run was trained with, in one column: trials are counted by it in an index."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

JOINED = {
    "sqlite": "group_concat(p.plugin_id, ',')",
    "postgresql": "string_agg(p.plugin_id::text, ',')",
}


def upgrade() -> None:
    parts = sa.Column("parts", sa.Text, nullable=False, server_default=sa.text("''"))
    op.add_column("hpo_trial_run", parts)
    op.execute(f"""
        UPDATE hpo_trial_run SET parts = coalesce((
            SELECT {JOINED[op.get_bind().dialect.name]} FROM (
                SELECT plugin_id FROM hpo_run_plugin
                WHERE run_id = hpo_trial_run.run_id
                ORDER BY plugin_id
            ) p
        ), '')
    """)
    op.drop_index("ix_hpo_trial_run_study", "hpo_trial_run")
    op.create_index("ix_hpo_trial_run_study", "hpo_trial_run", ["study_id", "parts"])
