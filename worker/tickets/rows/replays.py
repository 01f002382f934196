"""Replays and the tickets they run again, as rows."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from worker.tickets.rows.row import Journey, Row, known_states


class Replay(Row):
    """A selection of tickets that is run again, and how: as it was, or with something else.

    `selection` is a `schemas.selection.Selection`. `prompt_version` and `taxonomy` are what is
    tried instead of the worker's own, None where it is not. `rate` is in tickets per second.
    """

    __tablename__ = "replays"
    __table_args__ = (
        CheckConstraint("state in ('running', 'paused', 'done', 'cancelled')", name="state"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    state: Mapped[str]
    actor: Mapped[str]
    reason: Mapped[str | None]
    selection: Mapped[dict[str, Any]]
    as_it_was: Mapped[bool]
    profile: Mapped[str | None]
    prompt_version: Mapped[str | None]
    taxonomy: Mapped[dict[str, Any] | None]
    rate: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]


class Rerun(Journey, Row):
    """One ticket in a replay. Its state is a ticket's, but the ticket itself stays as it is.

    `base_attempt_id` is the attempt that is compared with, `profile` the one it has to be run
    with, None for any. `replaced` is what the ticket had before the promotion: reply_id,
    attempt_id, state and reason.
    """

    __tablename__ = "reruns"
    __table_args__ = (
        known_states(),
        Index("uq_reruns_ticket", "replay_id", "ticket_id", unique=True),
        Index(
            "uq_reruns_open_ticket",
            "ticket_id",
            unique=True,
            postgresql_where=text("state in ('received', 'triaging')"),
        ),
        Index(
            "ix_reruns_waiting",
            "replay_id",
            "announced_at",
            postgresql_where=text("state = 'received'"),
        ),
        Index("ix_reruns_leased", "claimed_until", postgresql_where=text("state = 'triaging'")),
        Index("ix_reruns_ticket_id", "ticket_id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    replay_id: Mapped[int] = mapped_column(ForeignKey("replays.id"))
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"))
    base_attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"))
    profile: Mapped[str | None]
    promoted_at: Mapped[datetime | None]
    replaced: Mapped[dict[str, Any] | None]
