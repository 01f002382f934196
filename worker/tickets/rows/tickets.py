"""Tickets and what was made of them, as rows."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from worker.tickets.rows.row import Journey, Row, hour_of, known_states

RECEIVED = text("state = 'received'")


class Ticket(Journey, Row):
    """One customer message to be triaged. An edited message is another ticket.

    `cut` is what stood below the message: quoted history, a signature block. `traceparent` is the
    span of the webhook that brought it, where traces are on.
    """

    __tablename__ = "tickets"
    __table_args__ = (
        known_states(),
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
        Index(
            "ix_tickets_hour",
            hour_of("received_at"),
            postgresql_include=[
                "received_at",
                "source",
                "language",
                "state",
                "attempt_id",
                "reply_id",
            ],
        ),
        Index(
            "ix_tickets_selection",
            "received_at",
            postgresql_include=["id", "source", "language", "attempt_id", "reply_id"],
            postgresql_where=text(
                "state in ('replied', 'needs_human') and erased_at is null"
                " and attempt_id is not null"
            ),
        ),
        Index("ix_tickets_requester", "requester", postgresql_where=text("requester is not null")),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    source: Mapped[str]
    external_id: Mapped[str]
    content_key: Mapped[str]
    subject: Mapped[str]
    body: Mapped[str]
    cut: Mapped[str] = mapped_column(server_default="")
    locale: Mapped[str | None]
    requester: Mapped[str | None]
    source_updated_at: Mapped[datetime | None]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    language: Mapped[str | None]
    erased_at: Mapped[datetime | None]
    traceparent: Mapped[str | None]


class Delivery(Row):
    """One delivery that was accepted, by webhook unless `event` is `import` or `reconcile`.

    `repeats` counts its re-deliveries.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("uq_deliveries_key", "source", "delivery_key", unique=True),
        Index(
            "ix_deliveries_by_webhook",
            "source",
            "received_at",
            postgresql_where=text("event not in ('import', 'reconcile')"),
        ),
        Index("ix_deliveries_hour", hour_of("received_at")),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    source: Mapped[str]
    delivery_key: Mapped[str]
    event: Mapped[str]
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"), index=True)
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    repeats: Mapped[int] = mapped_column(server_default="0")


class Refusal(Row):
    """How many webhooks of a source were refused in an hour for one kind of reason."""

    __tablename__ = "refusals"

    hour: Mapped[datetime] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    refused: Mapped[int]


class Attempt(Row):
    """One try at a ticket, whatever came of it, with its full lineage.

    `replay_id` is the replay that ran the ticket again, None for the ticket's own way; `number`
    counts from 1 in each. `prompt_hash` is the SHA-256 of all that the model was asked.
    """

    __tablename__ = "attempts"
    __table_args__ = (
        Index(
            "uq_attempts_number",
            "ticket_id",
            "number",
            unique=True,
            postgresql_where=text("replay_id is null"),
        ),
        Index("uq_attempts_rerun_number", "ticket_id", "replay_id", "number", unique=True),
        Index(
            "ix_attempts_lineage",
            "profile",
            "prompt_version",
            "taxonomy_version",
            "model",
            postgresql_include=["id"],
        ),
        Index(
            "ix_attempts_failed",
            "id",
            postgresql_where=text("outcome in ('retry', 'crashed', 'lost')"),
        ),
        Index(
            "ix_attempts_refused",
            "id",
            postgresql_where=text("outcome = 'needs_human' and error is not null"),
        ),
        Index("ix_attempts_hour", hour_of("started_at")),
        Index("ix_attempts_needs_human", "id", postgresql_where=text("outcome = 'needs_human'")),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"))
    replay_id: Mapped[int | None] = mapped_column(ForeignKey("replays.id"))
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
    hardware: Mapped[str | None]
    desk_sha256: Mapped[str | None] = mapped_column(ForeignKey("desks.sha256"))
    prompt_version: Mapped[str | None]
    prompt_hash: Mapped[str | None]
    grammar_hash: Mapped[str | None]
    taxonomy_version: Mapped[str | None]
    sampling: Mapped[dict[str, Any] | None]
    seed: Mapped[int | None]

    language: Mapped[str | None]
    language_tag: Mapped[str | None]
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
    """What the model wrote about a ticket, parsed. Never changed afterwards.

    `least_confidence` is that of the label the model was least sure of.
    """

    __tablename__ = "replies"
    __table_args__ = (
        Index("ix_replies_selection", "category", "least_confidence", postgresql_include=["id"]),
        Index(
            "ix_replies_unsure",
            "attempt_id",
            postgresql_where=text("disposition = 'human' and disposition_reason like 'unsure: %'"),
        ),
    )

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
    least_confidence: Mapped[float | None]
    disposition: Mapped[str]
    disposition_reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class DailyMix(Row):
    """How many tickets of a day that is over had a result, by language and category as they stood
    then; empty where there was none. The sweep counts each day once.
    """

    __tablename__ = "daily_mix"

    day: Mapped[datetime] = mapped_column(primary_key=True)
    language: Mapped[str] = mapped_column(primary_key=True)
    category: Mapped[str] = mapped_column(primary_key=True)
    tickets: Mapped[int]


class Finding(Row):
    """One check that an attempt's output failed."""

    __tablename__ = "findings"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"), index=True)
    check_name: Mapped[str]
    detail: Mapped[str]
