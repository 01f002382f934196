"""A view of what each team of the taxonomy has got."""

from pathlib import Path

from alembic import op

revision = "2026_11_26_teams"
down_revision = "2026_11_24_quick_views"
branch_labels = None
depends_on = None

VIEW = "ops_teams_v1"
SQL = Path(__file__).parent.parent / "views" / f"{VIEW}.sql"
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
    op.execute(SQL.read_text(encoding="utf-8"))
    op.execute(GRANT)


def downgrade() -> None:
    op.execute(f"drop view {VIEW}")
