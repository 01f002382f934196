"""Replays: what a desk was set to, which attempt counts, and the tickets that are run again."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_24_replays"
down_revision = "2026_11_24_by_hand"
branch_labels = None
depends_on = None

TIME = postgresql.TIMESTAMP(timezone=True)
JSON = postgresql.JSONB(astext_type=sa.Text())
STATES = "state in ('received', 'triaging', 'replied', 'needs_human', 'ignored')"

COUNTING_ATTEMPT = """
    update tickets set attempt_id = attempts.id
    from attempts
    left join replies on replies.attempt_id = attempts.id
    where attempts.ticket_id = tickets.id
      and case when tickets.reply_id is null then attempts.number = tickets.attempts
               else replies.id = tickets.reply_id end
      and attempts.outcome <> 'running'
"""
WITHOUT_REPLAYS = (
    "delete from findings using attempts where attempts.id = attempt_id and replay_id is not null",
    "update corrections set reply_id = null from replies join attempts on attempts.id = attempt_id"
    " where replies.id = corrections.reply_id and replay_id is not null",
    "delete from replies using attempts where attempts.id = attempt_id and replay_id is not null",
    "delete from attempts where replay_id is not null",
)
LEAST_CONFIDENCE = """
    update replies set least_confidence = least(
        (confidence ->> 'category')::float, (confidence ->> 'type')::float,
        (confidence ->> 'priority')::float, (confidence ->> 'sentiment')::float
    )
"""


VIEWS = Path(__file__).parent.parent / "views"


def upgrade() -> None:
    op.create_table(
        "desks",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("prompt_version", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("taxonomy", JSON, nullable=False),
        sa.Column("instruction", sa.Text(), nullable=False),
        sa.Column("first_used_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_desks")),
    )
    op.create_table(
        "replays",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("selection", JSON, nullable=False),
        sa.Column("as_it_was", sa.Boolean(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=True),
        sa.Column("prompt_version", sa.Text(), nullable=True),
        sa.Column("taxonomy", JSON, nullable=True),
        sa.Column("rate", sa.Float(), nullable=True),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.CheckConstraint(
            "state in ('running', 'paused', 'done', 'cancelled')", name=op.f("ck_replays_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replays")),
    )
    know_the_attempts()
    create_reruns()
    for name in ("bad_attempts_v1", "bad_outputs_v1_from_bad_attempts"):
        op.execute((VIEWS / f"{name}.sql").read_text(encoding="utf-8"))


def know_the_attempts() -> None:
    for name in ("language_tag", "hardware", "prompt_hash", "desk_sha256"):
        op.add_column("attempts", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("replay_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        "fk_attempts_desk_sha256", "attempts", "desks", ["desk_sha256"], ["sha256"]
    )
    op.create_foreign_key("fk_attempts_replay_id", "attempts", "replays", ["replay_id"], ["id"])
    op.drop_index("uq_attempts_number", "attempts")
    op.create_index(
        "uq_attempts_number",
        "attempts",
        ["ticket_id", "number"],
        unique=True,
        postgresql_where=sa.text("replay_id is null"),
    )
    op.create_index(
        "uq_attempts_rerun_number",
        "attempts",
        ["ticket_id", "replay_id", "number"],
        unique=True,
        postgresql_where=sa.text("replay_id is not null"),
    )
    op.create_index(
        "ix_attempts_lineage",
        "attempts",
        ["profile", "prompt_version", "taxonomy_version", "model"],
        postgresql_include=["id"],
    )
    op.create_index(
        "ix_attempts_failed",
        "attempts",
        ["id"],
        postgresql_where=sa.text("outcome in ('retry', 'crashed', 'lost')"),
    )
    op.create_index(
        "ix_attempts_needs_human",
        "attempts",
        ["id"],
        postgresql_where=sa.text("outcome = 'needs_human'"),
    )
    op.add_column("replies", sa.Column("least_confidence", sa.Float(), nullable=True))
    op.execute(LEAST_CONFIDENCE)
    op.create_index(
        "ix_replies_selection",
        "replies",
        ["category", "least_confidence"],
        postgresql_include=["id"],
    )
    op.create_index(
        "ix_replies_unsure",
        "replies",
        ["attempt_id"],
        postgresql_where=sa.text("disposition = 'human' and disposition_reason like 'unsure: %'"),
    )
    op.add_column("tickets", sa.Column("attempt_id", sa.BigInteger(), nullable=True))
    op.execute(COUNTING_ATTEMPT)
    op.create_foreign_key("fk_tickets_attempt_id", "tickets", "attempts", ["attempt_id"], ["id"])
    op.create_index(
        "ix_tickets_selection",
        "tickets",
        ["received_at"],
        postgresql_include=["id", "source", "language", "attempt_id", "reply_id"],
        postgresql_where=sa.text(
            "state in ('replied', 'needs_human') and erased_at is null and attempt_id is not null"
        ),
    )


def create_reruns() -> None:
    op.create_table(
        "reruns",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("replay_id", sa.BigInteger(), nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), nullable=False),
        sa.Column("base_attempt_id", sa.BigInteger(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=True),
        sa.Column("promoted_at", TIME, nullable=True),
        sa.Column("replaced", JSON, nullable=True),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("updated_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("not_before", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("announced_at", TIME, nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("claimed_until", TIME, nullable=True),
        *(
            sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
            for name in ("attempts", "failures", "crashes", "repairs")
        ),
        sa.Column("attempt_id", sa.BigInteger(), nullable=True),
        sa.Column("reply_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(STATES, name=op.f("ck_reruns_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reruns")),
        *(
            sa.ForeignKeyConstraint([column], [f"{table}.id"], name=f"fk_reruns_{column}")
            for column, table in (
                ("replay_id", "replays"),
                ("ticket_id", "tickets"),
                ("base_attempt_id", "attempts"),
                ("attempt_id", "attempts"),
                ("reply_id", "replies"),
            )
        ),
    )
    open_ones = sa.text("state in ('received', 'triaging')")
    op.create_index("uq_reruns_ticket", "reruns", ["replay_id", "ticket_id"], unique=True)
    op.create_index(
        "uq_reruns_open_ticket", "reruns", ["ticket_id"], unique=True, postgresql_where=open_ones
    )
    op.create_index(
        "ix_reruns_waiting",
        "reruns",
        ["replay_id", "announced_at"],
        postgresql_where=sa.text("state = 'received'"),
    )
    op.create_index(
        "ix_reruns_leased",
        "reruns",
        ["claimed_until"],
        postgresql_where=sa.text("state = 'triaging'"),
    )
    op.create_index("ix_reruns_ticket_id", "reruns", ["ticket_id"])


def downgrade() -> None:
    """What a replay made goes; a ticket whose promotion is lost keeps its own way's last reply."""
    op.execute(
        "update tickets set reply_id = (select max(replies.id) from replies"
        " join attempts on attempts.id = replies.attempt_id"
        " where replies.ticket_id = tickets.id and attempts.replay_id is null)"
        " where id in (select ticket_id from reruns where promoted_at is not null)"
    )
    op.drop_table("reruns")
    op.execute("drop view bad_outputs_v1")
    op.execute("drop view bad_attempts_v1")
    op.execute((VIEWS / "bad_outputs_v1.sql").read_text(encoding="utf-8"))
    op.drop_column("tickets", "attempt_id")
    op.drop_index("ix_replies_unsure", "replies")
    op.drop_index("ix_replies_selection", "replies")
    op.drop_column("replies", "least_confidence")
    for statement in WITHOUT_REPLAYS:
        op.execute(statement)
    for name in ("needs_human", "failed", "lineage"):
        op.drop_index(f"ix_attempts_{name}", "attempts")
    op.drop_index("uq_attempts_rerun_number", "attempts")
    op.drop_index("uq_attempts_number", "attempts")
    op.create_index("uq_attempts_number", "attempts", ["ticket_id", "number"], unique=True)
    for name in ("replay_id", "desk_sha256", "prompt_hash", "hardware", "language_tag"):
        op.drop_column("attempts", name)
    op.drop_table("replays")
    op.drop_table("desks")
