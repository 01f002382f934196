"""The tables, as SQLAlchemy models. What reads or writes them is in `store` and `read`."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
RECEIVED = text("state = 'received'")


class Row(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy reads it so
        datetime: TIMESTAMP(timezone=True),
        str: Text(),
        list[str]: ARRAY(Text()),
        int: BigInteger(),
        dict[str, Any]: JSONB(),
        list[dict[str, Any]]: JSONB(),
    }


class Ticket(Row):
    """One customer message to be triaged. An edited message is another ticket.

    `attempts` numbers the claims; `failures` counts those that failed, `crashes` those during
    which the engine or its worker died, and `repairs` those whose answer failed a check and was
    asked for once more. A ticket that was given back because its worker stopped has lost nothing.
    """

    __tablename__ = "tickets"
    __table_args__ = (
        CheckConstraint(
            "state in ('received', 'triaging', 'replied', 'needs_human', 'ignored')", name="state"
        ),
        Index("uq_tickets_content", "source", "external_id", "content_key", unique=True),
        Index("ix_tickets_waiting", "queue", "not_before", postgresql_where=RECEIVED),
        Index(
            "ix_tickets_unannounced",
            "not_before",
            postgresql_where=text("state = 'received' and announced_at is null"),
        ),
        Index("ix_tickets_announced_at", "announced_at", postgresql_where=RECEIVED),
        Index("ix_tickets_leased", "claimed_until", postgresql_where=text("state = 'triaging'")),
        Index("ix_tickets_received_at", "received_at"),
        Index("ix_tickets_requester", "requester", postgresql_where=text("requester is not null")),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    source: Mapped[str]
    external_id: Mapped[str]
    content_key: Mapped[str]
    subject: Mapped[str]
    body: Mapped[str]
    locale: Mapped[str | None]
    requester: Mapped[str | None]
    source_updated_at: Mapped[datetime | None]
    queue: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str | None]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    not_before: Mapped[datetime] = mapped_column(server_default=func.now())
    announced_at: Mapped[datetime | None]
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    failures: Mapped[int] = mapped_column(server_default="0")
    crashes: Mapped[int] = mapped_column(server_default="0")
    repairs: Mapped[int] = mapped_column(server_default="0")
    language: Mapped[str | None]
    reply_id: Mapped[int | None] = mapped_column(
        ForeignKey("replies.id", use_alter=True, name="fk_tickets_reply_id")
    )
    erased_at: Mapped[datetime | None]


class Delivery(Row):
    """One webhook delivery that was accepted. `repeats` counts its re-deliveries."""

    __tablename__ = "deliveries"
    __table_args__ = (Index("uq_deliveries_key", "source", "delivery_key", unique=True),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    source: Mapped[str]
    delivery_key: Mapped[str]
    event: Mapped[str]
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"), index=True)
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    repeats: Mapped[int] = mapped_column(server_default="0")


class Attempt(Row):
    """One try at a ticket, whatever came of it, with its full lineage."""

    __tablename__ = "attempts"
    __table_args__ = (Index("uq_attempts_number", "ticket_id", "number", unique=True),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"))
    number: Mapped[int]
    worker: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str]
    reason: Mapped[str | None]
    error: Mapped[str | None]

    profile: Mapped[str | None]
    model: Mapped[str | None]
    quantization: Mapped[str | None]
    engine_version: Mapped[str | None]
    prompt_version: Mapped[str | None]
    grammar_hash: Mapped[str | None]
    taxonomy_version: Mapped[str | None]
    sampling: Mapped[dict[str, Any] | None]
    seed: Mapped[int | None]

    language: Mapped[str | None]
    language_probability: Mapped[float | None]
    language_evidence: Mapped[str | None]

    raw_output: Mapped[str | None]
    finish_reason: Mapped[str | None]
    prompt_tokens: Mapped[int | None]
    cached_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    queue_ms: Mapped[int | None]
    engine_ms: Mapped[int | None]


class Reply(Row):
    """What the model wrote about a ticket, parsed. Never changed afterwards."""

    __tablename__ = "replies"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"), index=True)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"), unique=True)
    category: Mapped[str]
    type: Mapped[str]
    priority: Mapped[str]
    sentiment: Mapped[str]
    entities: Mapped[list[dict[str, Any]]]
    summary: Mapped[str]
    reply: Mapped[str]
    confidence: Mapped[dict[str, Any]]
    disposition: Mapped[str]
    disposition_reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Finding(Row):
    """One check that an attempt's output failed."""

    __tablename__ = "findings"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"), index=True)
    check_name: Mapped[str]
    detail: Mapped[str]


class Correction(Row):
    """A person's value for one field of a ticket, kept apart from the model's.

    `model_value` is what the reply `reply_id` said then; both are None where there was no reply.
    The newest row of a field counts.
    """

    __tablename__ = "corrections"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"), index=True)
    field: Mapped[str]
    value: Mapped[str]
    model_value: Mapped[str | None]
    reply_id: Mapped[int | None] = mapped_column(ForeignKey("replies.id"), index=True)
    note: Mapped[str | None]
    corrected_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Worker(Row):
    """A worker that takes tickets, as of `seen_at`; it removes itself when it stops."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    profile: Mapped[str]
    queues: Mapped[list[str]]
    in_flight: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


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
