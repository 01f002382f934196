"""The golden set: tickets that a person corrected, with what the person says. Writes nothing."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from schemas.reply import LABELS
from worker.tickets.rows import Correction, Ticket

AT_A_TIME = 500


def golden_tickets(session: Session) -> Iterator[dict[str, Any]]:
    """Each corrected ticket as a line of labelled JSONL, oldest first; the last word counts."""
    said = (
        select(Correction.ticket_id, Correction.field, Correction.value)
        .where(Correction.field.in_(LABELS))
        .distinct(Correction.ticket_id, Correction.field)
        .order_by(Correction.ticket_id, Correction.field, Correction.id.desc())
        .subquery()
    )
    labels = (
        select(
            said.c.ticket_id,
            func.jsonb_object_agg(said.c.field, said.c.value).label("labels"),
        )
        .group_by(said.c.ticket_id)
        .subquery()
    )
    rows = session.execute(
        select(Ticket, labels.c.labels)
        .join(labels, labels.c.ticket_id == Ticket.id)
        .order_by(Ticket.id)
        .execution_options(yield_per=AT_A_TIME)
    )
    for ticket, given in rows:
        yield {
            "id": f"{ticket.source}:{ticket.external_id}",
            "subject": ticket.subject,
            "body": ticket.body,
            "locale": ticket.locale,
            "language": ticket.language,
            **given,
        }
