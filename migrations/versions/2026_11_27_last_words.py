"""Write-backs are found by the hour, as the view that counts them asks; the last word on a field
counts as its correction.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_last_words"
down_revision = "2026_11_26_teams"
branch_labels = None
depends_on = None

HOUR = "date_bin('01:00:00'::interval, created_at, '2000-01-01 00:00:00+00'::timestamptz)"
VIEWS = Path(__file__).parent.parent / "views"
CHANGED = ("ops_corrections_v1", "bad_attempts_v1")


def upgrade() -> None:
    for view in CHANGED:
        written = (VIEWS / f"{view}.sql").read_text(encoding="utf-8")
        op.execute(written.replace("create view", "create or replace view", 1))
    op.create_index(
        "ix_writebacks_hour",
        "writebacks",
        [sa.text(HOUR)],
        postgresql_include=["source", "state", "attempts"],
    )
    op.drop_index("ix_writebacks_created_at", "writebacks")


def downgrade() -> None:
    """The views stay as they are: they have the same columns."""
    op.create_index("ix_writebacks_created_at", "writebacks", ["created_at"])
    op.drop_index("ix_writebacks_hour", "writebacks")
