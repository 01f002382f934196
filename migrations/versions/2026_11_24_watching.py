"""Refused webhooks are counted, tickets know their trace, and the flow shows all that came."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_24_watching"
down_revision = "2026_11_24_ops_views"
branch_labels = None
depends_on = None

DIRECTORY = Path(__file__).parent.parent / "views"
VIEWS = ("ops_flow_v2", "ops_refused_v1")
GRANT = """
do $$
begin
    if exists (select from pg_roles where rolname = 'triage_ops') then
        grant select on {} to triage_ops;
    end if;
end
$$
"""


def upgrade() -> None:
    op.add_column("tickets", sa.Column("traceparent", sa.Text(), nullable=True))
    op.create_table(
        "refusals",
        sa.Column("hour", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "source", "kind", name=op.f("pk_refusals")),
    )
    for view in VIEWS:
        op.execute((DIRECTORY / f"{view}.sql").read_text(encoding="utf-8"))
    op.execute(GRANT.format(", ".join(VIEWS)))


def downgrade() -> None:
    for view in reversed(VIEWS):
        op.execute(f"drop view {view}")
    op.drop_table("refusals")
    op.drop_column("tickets", "traceparent")
