"""Views for dashboards, and a role that can read the views and nothing else."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "2026_11_24_ops_views"
down_revision = "2026_11_24_replays"
branch_labels = None
depends_on = None

DIRECTORY = Path(__file__).parent.parent / "views"
VIEWS = (
    "ops_flow_v1",
    "ops_deliveries_v1",
    "ops_sources_v1",
    "ops_backlog_v1",
    "ops_time_to_triage_v1",
    "ops_dispositions_v1",
    "ops_corrections_v1",
    "ops_confusion_v1",
    "ops_calibration_v1",
    "ops_checks_v1",
    "ops_versions_v1",
    "ops_mix_v1",
    "ops_tokens_v1",
    "ops_worst_v1",
    "ops_replays_v1",
    "ops_workers_v1",
)
READABLE = ("bad_outputs_v1", "bad_attempts_v1", *VIEWS)
HOUR = "date_bin('1 hour', {}, timestamptz '2000-01-01 00:00:00+00')"

# Roles belong to the whole server: it may be there already, and who may not create roles has an
# administrator do it before.
CREATE_ROLE = """
do $$
begin
    if not exists (select from pg_roles where rolname = 'triage_ops') then
        create role triage_ops nologin;
    end if;
exception
    when insufficient_privilege then
        raise warning 'may not create the role triage_ops: create it, then grant it the views';
    when unique_violation or duplicate_object then
        null; -- another database of this server was quicker
end
$$
"""
GRANT = """
do $$
begin
    if exists (select from pg_roles where rolname = 'triage_ops') then
        grant select on {} to triage_ops;
    end if;
end
$$
"""
REVOKE = GRANT.replace("grant", "revoke").replace(" to triage_ops", " from triage_ops")


def upgrade() -> None:
    op.create_index(
        "ix_tickets_hour",
        "tickets",
        [sa.text(HOUR.format("received_at"))],
        postgresql_include=[
            "received_at", "source", "language", "state", "attempt_id", "reply_id",
        ],
    )  # fmt: skip
    op.create_index("ix_attempts_hour", "attempts", [sa.text(HOUR.format("started_at"))])
    op.create_index("ix_deliveries_hour", "deliveries", [sa.text(HOUR.format("received_at"))])
    op.create_index("ix_deliveries_source_received_at", "deliveries", ["source", "received_at"])
    for view in VIEWS:
        op.execute((DIRECTORY / f"{view}.sql").read_text(encoding="utf-8"))
    op.execute(CREATE_ROLE)
    op.execute(GRANT.format(", ".join(READABLE)))


def downgrade() -> None:
    """The role stays: other databases of this server may use it."""
    op.execute(REVOKE.format(", ".join(READABLE)))
    for view in reversed(VIEWS):
        op.execute(f"drop view {view}")
    op.drop_index("ix_deliveries_source_received_at", "deliveries")
    for table in ("deliveries", "attempts", "tickets"):
        op.drop_index(f"ix_{table}_hour", table)
