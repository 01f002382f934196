"""What is written back to helpdesks, as rows: the queue and the ledger of its retries in one."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from worker.tickets.rows.row import Row, hour_of


class Writeback(Row):
    """One reply that goes back to its helpdesk, once. `reason` says why it was skipped or failed,
    or what the last try met; `remote_id` is the helpdesk's id of our note or draft.
    """

    __tablename__ = "writebacks"
    __table_args__ = (
        CheckConstraint("state in ('waiting', 'done', 'skipped', 'failed')", name="state"),
        Index("uq_writebacks_reply_id", "reply_id", unique=True),
        Index(
            "ix_writebacks_waiting",
            "source",
            "not_before",
            postgresql_where=text("state = 'waiting'"),
        ),
        Index(
            "ix_writebacks_hour",
            hour_of("created_at"),
            postgresql_include=["source", "state", "attempts"],
        ),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"), index=True)
    reply_id: Mapped[int] = mapped_column(ForeignKey("replies.id"))
    source: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    not_before: Mapped[datetime] = mapped_column(server_default=func.now())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]
    remote_id: Mapped[str | None]
