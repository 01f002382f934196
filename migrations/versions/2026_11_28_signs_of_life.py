"""What was fetched or imported is no sign that a helpdesk's webhook works."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "2026_11_28_signs_of_life"
down_revision = "2026_11_27_last_words"
branch_labels = None
depends_on = None

VIEW = Path(__file__).parent.parent / "views" / "ops_sources_v1.sql"
BY_WEBHOOK = "event not in ('import', 'reconcile')"


def upgrade() -> None:
    op.execute("update deliveries set event = 'reconcile' where delivery_key like 'reconciled:%'")
    op.create_index(
        "ix_deliveries_by_webhook",
        "deliveries",
        ["source", "received_at"],
        postgresql_where=sa.text(BY_WEBHOOK),
    )
    op.drop_index("ix_deliveries_source_received_at", "deliveries")
    written = VIEW.read_text(encoding="utf-8")
    op.execute(written.replace("create view", "create or replace view", 1))


def downgrade() -> None:
    """The view stays as it is: it has the same columns."""
    op.create_index("ix_deliveries_source_received_at", "deliveries", ["source", "received_at"])
    op.drop_index("ix_deliveries_by_webhook", "deliveries")
