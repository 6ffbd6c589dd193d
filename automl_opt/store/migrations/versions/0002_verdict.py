"""Verdicts, the runs they stand on, what was seen at each look, and what an audit found."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

VIEWS = {
    "hpo_v_verdict": """
        SELECT v.name AS study, v.kind, v.outcome, v.leader, v.seeds, v.said, v.updated_at
        FROM hpo_verdict v
        WHERE v.number = (
            SELECT max(w.number) FROM hpo_verdict w WHERE w.name = v.name AND w.kind = v.kind
        )
    """,
    "hpo_v_look": """
        SELECT v.name AS study, v.kind, v.number, l.seeds, l.leader, l.other, l.alpha, l.mean,
            l.low, l.high, l.wins, l.losses, l.ties, l.p, l.outcome
        FROM hpo_look l
        JOIN hpo_verdict v ON v.id = l.verdict_id
    """,
    "hpo_v_verdict_run": """
        SELECT v.name AS study, v.number, r.stage, r.recipe, r.seed, r.state, r.value, r.epochs,
            r.seconds, r.ended_at
        FROM hpo_verdict_run r
        JOIN hpo_verdict v ON v.id = r.verdict_id
    """,
    "hpo_v_finding": """
        SELECT f.name AS study, f.kind, f.arm, f.evidence, f.advice, f.found_at
        FROM hpo_finding f
    """,
}


def upgrade() -> None:
    time = sa.DateTime(timezone=True)

    op.create_table(
        "hpo_verdict",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("plan_json", sa.Text, nullable=False),
        sa.Column("outcome", sa.String(16)),
        sa.Column("leader", sa.String(255)),
        sa.Column("seeds", sa.Integer),
        sa.Column("said", sa.Text),
        sa.Column("verdict_json", sa.Text),
        sa.Column("created_at", time, nullable=False),
        sa.Column("updated_at", time, nullable=False),
        sa.UniqueConstraint("name", "kind", "number", name="uq_hpo_verdict_name_kind_number"),
    )
    op.create_table(
        "hpo_look",
        sa.Column(
            "verdict_id",
            sa.Integer,
            sa.ForeignKey("hpo_verdict.id", name="fk_hpo_look_verdict", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("seeds", sa.Integer, nullable=False),
        sa.Column("other", sa.String(255), nullable=False),
        sa.Column("leader", sa.String(255), nullable=False),
        sa.Column("alpha", sa.Double, nullable=False),
        sa.Column("wins", sa.Integer, nullable=False),
        sa.Column("losses", sa.Integer, nullable=False),
        sa.Column("ties", sa.Integer, nullable=False),
        sa.Column("mean", sa.Double),
        sa.Column("low", sa.Double),
        sa.Column("high", sa.Double),
        sa.Column("p", sa.Double),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("verdict_id", "seeds", "other", name="pk_hpo_look"),
    )
    op.create_table(
        "hpo_verdict_run",
        sa.Column(
            "verdict_id",
            sa.Integer,
            sa.ForeignKey("hpo_verdict.id", name="fk_hpo_verdict_run_verdict", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("recipe", sa.String(255), nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("seeds_json", sa.Text, nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("value", sa.Double),
        sa.Column("metrics_json", sa.Text, nullable=False),
        sa.Column("epochs", sa.Integer, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("worker", sa.String(255), nullable=False),
        sa.Column("device", sa.String(255), nullable=False),
        sa.Column("ended_at", time, nullable=False),
        sa.Column(
            "env_id",
            sa.Integer,
            sa.ForeignKey("hpo_environment.id", name="fk_hpo_verdict_run_environment"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("verdict_id", "stage", "recipe", "seed", name="pk_hpo_verdict_run"),
    )
    op.create_table(
        "hpo_finding",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("arm", sa.String(255)),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("advice", sa.Text, nullable=False),
        sa.Column("found_at", time, nullable=False),
    )
    op.create_index("ix_hpo_finding_name", "hpo_finding", ["name"])
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")
