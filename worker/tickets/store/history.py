"""Tickets that were triaged in the past, written as they would stand: for demonstrations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from worker.queues import Queue
from worker.tickets.rows import (
    Attempt,
    Correction,
    Delivery,
    Finding,
    Refusal,
    Replay,
    Reply,
    Rerun,
    Row,
    Ticket,
    Writeback,
    table_of,
)


@dataclass(frozen=True, slots=True)
class Past:
    """One ticket of the past, as columns. `attempt` is None where nobody had to look at it,
    `reply` where nothing usable was written. `findings` are (check, detail), `corrected` the
    fields to which a person gave another value, `written_back` the state of its write-back.
    """

    ticket: Mapping[str, Any]
    attempt: Mapping[str, Any] | None = None
    reply: Mapping[str, Any] | None = None
    findings: Sequence[tuple[str, str]] = ()
    corrected: Mapping[str, str] = field(default_factory=dict)
    repeats: int = 0
    written_back: str | None = None


def write_past(session: Session, tickets: Sequence[Past]) -> list[int]:
    """Write tickets with all that came of them; the ids of their attempts."""
    ticket_ids = keep(session, Ticket, [one.ticket for one in tickets])
    keep(session, Delivery, [delivery(*both) for both in zip(tickets, ticket_ids, strict=True)])
    tried = [(id_, one) for id_, one in zip(ticket_ids, tickets, strict=True) if one.attempt]
    attempt_ids = keep(
        session, Attempt, [{"ticket_id": id_, **(one.attempt or {})} for id_, one in tried]
    )
    answered = [
        (ticket_id, attempt_id, one)
        for (ticket_id, one), attempt_id in zip(tried, attempt_ids, strict=True)
        if one.reply
    ]
    reply_ids = keep(
        session,
        Reply,
        [
            {"ticket_id": ticket_id, "attempt_id": attempt_id, **(one.reply or {})}
            for ticket_id, attempt_id, one in answered
        ],
    )
    point(session, Ticket.attempt_id, [id_ for id_, _ in tried], attempt_ids)
    point(session, Ticket.reply_id, [id_ for id_, _, _ in answered], reply_ids)
    keep(
        session,
        Finding,
        [
            {"attempt_id": attempt_id, "check_name": check, "detail": detail}
            for (_, one), attempt_id in zip(tried, attempt_ids, strict=True)
            for check, detail in one.findings
        ],
    )
    keep(
        session,
        Correction,
        [
            correction(ticket_id, reply_id, one, name)
            for (ticket_id, _, one), reply_id in zip(answered, reply_ids, strict=True)
            for name in one.corrected
        ],
    )
    keep(
        session,
        Writeback,
        [
            {
                "ticket_id": ticket_id,
                "reply_id": reply_id,
                "source": one.ticket["source"],
                "state": one.written_back,
                "attempts": 1,
                "created_at": one.ticket["received_at"],
            }
            for (ticket_id, _, one), reply_id in zip(answered, reply_ids, strict=True)
            if one.written_back
        ],
    )
    return attempt_ids


def write_past_replay(session: Session, *, tickets: int, **values: Any) -> None:
    """Write a replay, with these values, that ran the newest tickets again: what people corrected
    comes out as they wanted it, the rest as it was.
    """
    [replay_id] = keep(session, Replay, [values])
    found = session.execute(
        select(Attempt, Reply, Correction.field, Correction.value)
        .join(Reply, Reply.attempt_id == Attempt.id)
        .outerjoin(Correction, Correction.reply_id == Reply.id)
        .ext(distinct_on(Attempt.id))
        .order_by(Attempt.id.desc())
        .limit(tickets)
    ).all()
    again = [
        columns_of(attempt, replay_id=replay_id, prompt_version=values["prompt_version"])
        for attempt, _, _, _ in found
    ]
    attempt_ids = keep(session, Attempt, again)
    replies = [
        columns_of(reply, attempt_id=attempt_id, **({field: value} if field else {}))
        for (_, reply, field, value), attempt_id in zip(found, attempt_ids, strict=True)
    ]
    reply_ids = keep(session, Reply, replies)
    keep(
        session,
        Rerun,
        [
            {
                "replay_id": replay_id,
                "ticket_id": attempt.ticket_id,
                "base_attempt_id": attempt.id,
                "queue": Queue.REPLAY,
                "state": attempt.outcome,
                "attempts": 1,
                "attempt_id": attempt_id,
                "reply_id": reply_id,
            }
            for (attempt, *_), attempt_id, reply_id in zip(
                found, attempt_ids, reply_ids, strict=True
            )
        ],
    )


def columns_of(row: Row, **changes: Any) -> dict[str, Any]:
    """A row's columns for another row like it."""
    columns = {column.key: getattr(row, column.key) for column in row.__table__.columns}
    return {name: value for name, value in columns.items() if name != "id"} | changes


def write_refusals(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    session.execute(insert(Refusal), [dict(row) for row in rows])


def keep(session: Session, table: type[Any], rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Insert rows; their ids in the same order."""
    if not rows:
        return []
    statement = insert(table).returning(table.id, sort_by_parameter_order=True)
    return list(session.scalars(statement, [dict(row) for row in rows]))


def point(session: Session, column: Any, ticket_ids: Sequence[int], to: Sequence[int]) -> None:
    if not ticket_ids:
        return
    session.connection().execute(
        update(table_of(Ticket))
        .where(Ticket.id == bindparam("of"))
        .values({column.key: bindparam("to")}),
        [{"of": id_, "to": target} for id_, target in zip(ticket_ids, to, strict=True)],
    )


def delivery(one: Past, ticket_id: int) -> dict[str, Any]:
    at: datetime = one.ticket["received_at"]
    return {
        "ticket_id": ticket_id,
        "source": one.ticket["source"],
        "delivery_key": f"past-{ticket_id}",
        "event": "ticket",
        "received_at": at,
        "repeats": one.repeats,
    }


def correction(ticket_id: int, reply_id: int, one: Past, name: str) -> dict[str, Any]:
    assert one.reply is not None
    return {
        "ticket_id": ticket_id,
        "reply_id": reply_id,
        "field": name,
        "value": one.corrected[name],
        "model_value": one.reply[name],
        "corrected_by": "Ana",
    }
