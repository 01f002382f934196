"""What people do by hand: corrections with what they correct, an audit, erasure; bad outputs."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_24_by_hand"
down_revision = "2026_11_24_repairs"
branch_labels = None
depends_on = None

VIEW = Path(__file__).parent.parent / "views" / "bad_outputs_v1.sql"


def upgrade() -> None:
    op.add_column("attempts", sa.Column("error", sa.Text(), nullable=True))
    op.add_column("tickets", sa.Column("requester", sa.Text(), nullable=True))
    op.add_column(
        "tickets", sa.Column("erased_at", postgresql.TIMESTAMP(timezone=True), nullable=True)
    )
    op.create_index(
        "ix_tickets_requester",
        "tickets",
        ["requester"],
        postgresql_where=sa.text("requester is not null"),
    )
    op.add_column("corrections", sa.Column("model_value", sa.Text(), nullable=True))
    op.add_column("corrections", sa.Column("reply_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key("fk_corrections_reply_id", "corrections", "replies", ["reply_id"], ["id"])
    op.create_index("ix_corrections_reply_id", "corrections", ["reply_id"])
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("ticket_id", sa.BigInteger(), nullable=True),
        sa.Column("selection", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_audit_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_at"), "audit", ["at"])
    op.create_index(op.f("ix_audit_ticket_id"), "audit", ["ticket_id"])
    op.execute(VIEW.read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("drop view bad_outputs_v1")
    op.drop_table("audit")
    op.drop_column("corrections", "reply_id")
    op.drop_column("corrections", "model_value")
    op.drop_index("ix_tickets_requester", "tickets")
    op.drop_column("tickets", "erased_at")
    op.drop_column("tickets", "requester")
    op.drop_column("attempts", "error")
