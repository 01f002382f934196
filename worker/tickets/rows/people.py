"""What people do to tickets, as rows."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Identity, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from worker.tickets.rows.row import Row, hour_of


class Correction(Row):
    """A person's value for one field of a ticket, kept apart from the model's.

    `model_value` is what the reply `reply_id` said then; both are None where there was no reply.
    The newest row of a field counts.
    """

    __tablename__ = "corrections"
    __table_args__ = (Index("ix_corrections_hour", hour_of("created_at")),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"), index=True)
    field: Mapped[str]
    value: Mapped[str]
    model_value: Mapped[str | None]
    reply_id: Mapped[int | None] = mapped_column(ForeignKey("replies.id"), index=True)
    note: Mapped[str | None]
    corrected_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Act(Row):
    """What a person did to tickets by hand: who, what, why, to which, and what came of it."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    actor: Mapped[str]
    action: Mapped[str]
    reason: Mapped[str | None]
    ticket_id: Mapped[int | None] = mapped_column(ForeignKey("tickets.id"), index=True)
    selection: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None]
