"""Views that take as long at a million tickets as at ten thousand, and what they need for it."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_24_quick_views"
down_revision = "2026_11_24_helpdesks"
branch_labels = None
depends_on = None

DIRECTORY = Path(__file__).parent.parent / "views"
VIEWS = (
    "ops_backlog_v2",
    "ops_checks_v2",
    "ops_confusion_v2",
    "ops_calibration_v2",
    "ops_mix_v2",
)
HOUR = "date_bin('1 hour', created_at, timestamptz '2000-01-01 00:00:00+00')"
GRANT = """
do $$
begin
    if exists (select from pg_roles where rolname = 'triage_ops') then
        grant select on {} to triage_ops;
    end if;
end
$$
"""
RERUN_NUMBER = ("uq_attempts_rerun_number", "attempts", ["ticket_id", "replay_id", "number"])


def upgrade() -> None:
    op.create_table(
        "daily_mix",
        sa.Column("day", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("tickets", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "language", "category", name=op.f("pk_daily_mix")),
    )
    op.create_index("ix_corrections_hour", "corrections", [sa.text(HOUR)])
    op.drop_index("uq_attempts_rerun_number", "attempts")
    op.create_index(*RERUN_NUMBER, unique=True)
    for view in VIEWS:
        op.execute((DIRECTORY / f"{view}.sql").read_text(encoding="utf-8"))
    op.execute(GRANT.format(", ".join(VIEWS)))


def downgrade() -> None:
    for view in reversed(VIEWS):
        op.execute(f"drop view {view}")
    op.drop_index("uq_attempts_rerun_number", "attempts")
    op.create_index(*RERUN_NUMBER, unique=True, postgresql_where=sa.text("replay_id is not null"))
    op.drop_index("ix_corrections_hour", "corrections")
    op.drop_table("daily_mix")
