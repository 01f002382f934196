"""What was cut from a message is kept; what is written back to helpdesks has a ledger."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_24_helpdesks"
down_revision = "2026_11_24_watching"
branch_labels = None
depends_on = None

VIEW = "ops_writebacks_v1"
SQL = Path(__file__).parent.parent / "views" / f"{VIEW}.sql"
TIME = postgresql.TIMESTAMP(timezone=True)
GRANT = f"""
do $$
begin
    if exists (select from pg_roles where rolname = 'triage_ops') then
        grant select on {VIEW} to triage_ops;
    end if;
end
$$
"""


def upgrade() -> None:
    op.add_column("tickets", sa.Column("cut", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "writebacks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), nullable=False),
        sa.Column("reply_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("not_before", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("remote_id", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state in ('waiting', 'done', 'skipped', 'failed')", name=op.f("ck_writebacks_state")
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["tickets.id"], name=op.f("fk_writebacks_ticket_id")
        ),
        sa.ForeignKeyConstraint(["reply_id"], ["replies.id"], name=op.f("fk_writebacks_reply_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_writebacks")),
    )
    op.create_index("uq_writebacks_reply_id", "writebacks", ["reply_id"], unique=True)
    op.create_index("ix_writebacks_ticket_id", "writebacks", ["ticket_id"])
    op.create_index("ix_writebacks_created_at", "writebacks", ["created_at"])
    op.create_index(
        "ix_writebacks_waiting",
        "writebacks",
        ["source", "not_before"],
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.execute(SQL.read_text(encoding="utf-8"))
    op.execute(GRANT)


def downgrade() -> None:
    op.execute(f"drop view {VIEW}")
    op.drop_table("writebacks")
    op.drop_column("tickets", "cut")
