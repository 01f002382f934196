"""Tickets with everything that was made of them, as flat rows, streamed. Writes nothing."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Subquery, func, select
from sqlalchemy.dialects.postgresql import JSONB, distinct_on
from sqlalchemy.orm import Session

from schemas.reply import FIELDS
from worker.tickets.rows import Attempt, Correction, Reply, Ticket

AT_A_TIME = 1000

COLUMNS = (
    "id", "source", "external_id", "received_at", "state", "reason", "language", "subject", "body",
    *(name for field in FIELDS for name in (field, f"model_{field}")),
    "is_corrected", "confidence", "disposition", "disposition_reason", "entities",
    "attempts", "profile", "model", "quantization", "engine_version", "prompt_version",
    "taxonomy_version", "grammar_hash", "erased_at",
)  # fmt: skip
"""`category` and the like are a person's value where there is one; `model_category` the model's."""


def rows(
    session: Session, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[dict[str, Any]]:
    """Tickets received from `since` to before `until`, oldest first, with the keys of `COLUMNS`.

    Holds a thousand tickets in memory at a time, however many there are.
    """
    said = corrections()
    query = (
        select(Ticket, Reply, Attempt, said.c.given)
        .outerjoin(Reply, Reply.id == Ticket.reply_id)
        .outerjoin(Attempt, Attempt.id == Reply.attempt_id)
        .outerjoin(said, said.c.ticket_id == Ticket.id)
        .order_by(Ticket.id)
    )
    if since:
        query = query.where(Ticket.received_at >= since)
    if until:
        query = query.where(Ticket.received_at < until)
    for ticket, reply, attempt, given in session.execute(
        query.execution_options(yield_per=AT_A_TIME)
    ):
        yield flat(ticket, reply, attempt, given or {})


def corrections() -> Subquery:
    """Each corrected ticket's newest value of each field, as one JSON object."""
    newest = (
        select(Correction.ticket_id, Correction.field, Correction.value)
        .ext(distinct_on(Correction.ticket_id, Correction.field))
        .order_by(Correction.ticket_id, Correction.field, Correction.id.desc())
        .subquery()
    )
    given = func.jsonb_object_agg(newest.c.field, newest.c.value, type_=JSONB).label("given")
    return select(newest.c.ticket_id, given).group_by(newest.c.ticket_id).subquery()


def flat(
    ticket: Ticket, reply: Reply | None, attempt: Attempt | None, given: dict[str, str]
) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    for source in (attempt, reply, ticket):  # the ticket's own columns last: they win
        row |= {name: getattr(source, name) for name in COLUMNS if hasattr(source, name)}
    for field in FIELDS:
        row[f"model_{field}"] = getattr(reply, field) if reply else None
        row[field] = given.get(field, row[f"model_{field}"])
    return row | {"is_corrected": bool(given)}
