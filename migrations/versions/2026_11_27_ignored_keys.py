"""What is ignored never has a message's key; write-backs are found by their hour."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_ignored_keys"
down_revision = "2026_11_26_teams"
branch_labels = None
depends_on = None

HOUR = "date_bin('01:00:00'::interval, created_at, '2000-01-01 00:00:00+00'::timestamptz)"
GIVE = """
update tickets set content_key = 'ignored:' || content_key
where state = 'ignored' and attempts = 0 and erased_at is null
"""
"""An event with the text of a message that came before it had taken that message's place."""
TAKE = """
update tickets set content_key = substr(content_key, length('ignored:') + 1)
where content_key like 'ignored:%'
"""


def upgrade() -> None:
    op.execute(GIVE.replace(":", r"\:"))
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
    op.execute(TAKE.replace(":", r"\:"))
