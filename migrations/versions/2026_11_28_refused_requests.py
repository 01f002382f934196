"""What the engine refused is a bad attempt and a dead ticket, too."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "2026_11_28_refused_requests"
down_revision = "2026_11_28_dead_and_leases"
branch_labels = None
depends_on = None

CHANGED = ("bad_attempts_v1", "ops_dead_v1", "ops_flow_v1", "ops_flow_v2")
FOLDER = Path(__file__).parent.parent / "views"


def upgrade() -> None:
    op.create_index(
        "ix_attempts_refused",
        "attempts",
        ["id"],
        postgresql_where=sa.text("outcome = 'needs_human' and error is not null"),
    )
    for view in CHANGED:
        written = (FOLDER / f"{view}.sql").read_text(encoding="utf-8")
        op.execute(written.replace("create view", "create or replace view", 1))


def downgrade() -> None:
    """The views stay as they are: they have the same columns."""
    op.drop_index("ix_attempts_refused", "attempts")
