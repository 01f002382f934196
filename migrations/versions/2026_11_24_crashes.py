"""Count what died while it worked on a ticket; index what the sweep and the workers look for."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_24_crashes"
down_revision = "2026_11_23_initial_tables"
branch_labels = None
depends_on = None

RECEIVED = sa.text("state = 'received'")
UNANNOUNCED = sa.text("state = 'received' and announced_at is null")


def upgrade() -> None:
    op.add_column(
        "tickets", sa.Column("crashes", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.drop_index("ix_tickets_waiting", "tickets")
    op.create_index(
        "ix_tickets_waiting", "tickets", ["queue", "not_before"], postgresql_where=RECEIVED
    )
    op.create_index(
        "ix_tickets_unannounced", "tickets", ["not_before"], postgresql_where=UNANNOUNCED
    )
    op.create_index(
        "ix_tickets_announced_at", "tickets", ["announced_at"], postgresql_where=RECEIVED
    )


def downgrade() -> None:
    op.drop_index("ix_tickets_announced_at", "tickets")
    op.drop_index("ix_tickets_unannounced", "tickets")
    op.drop_index("ix_tickets_waiting", "tickets")
    op.create_index("ix_tickets_waiting", "tickets", ["not_before"], postgresql_where=RECEIVED)
    op.drop_column("tickets", "crashes")
