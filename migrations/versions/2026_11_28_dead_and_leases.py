"""Views of what is dead now, of leases that nobody took back, of replies that wait."""

from pathlib import Path

from alembic import op

revision = "2026_11_28_dead_and_leases"
down_revision = "2026_11_28_signs_of_life"
branch_labels = None
depends_on = None

VIEWS = ("ops_dead_v1", "ops_leases_v1", "ops_unwritten_v1")
FOLDER = Path(__file__).parent.parent / "views"
GRANT = f"""
do $$
begin
    if exists (select from pg_roles where rolname = 'triage_ops') then
        grant select on {", ".join(VIEWS)} to triage_ops;
    end if;
end
$$
"""


def upgrade() -> None:
    for view in VIEWS:
        op.execute((FOLDER / f"{view}.sql").read_text(encoding="utf-8"))
    op.execute(GRANT)


def downgrade() -> None:
    for view in VIEWS:
        op.execute(f"drop view {view}")
