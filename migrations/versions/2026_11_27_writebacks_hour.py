"""Write-backs are found by the hour, as the view that counts them asks."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_writebacks_hour"
down_revision = "2026_11_26_teams"
branch_labels = None
depends_on = None

HOUR = "date_bin('01:00:00'::interval, created_at, '2000-01-01 00:00:00+00'::timestamptz)"


def upgrade() -> None:
    op.create_index(
        "ix_writebacks_hour",
        "writebacks",
        [sa.text(HOUR)],
        postgresql_include=["source", "state", "attempts"],
    )
    op.drop_index("ix_writebacks_created_at", "writebacks")


def downgrade() -> None:
    op.create_index("ix_writebacks_created_at", "writebacks", ["created_at"])
    op.drop_index("ix_writebacks_hour", "writebacks")
