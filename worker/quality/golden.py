"""The golden set: tickets that a person corrected. Writes nothing.

A label that they left as it was counts as right: they saw it.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import Session

from schemas.reply import LABELS
from worker.tickets import export
from worker.tickets.rows import Reply, Ticket


def golden_tickets(session: Session) -> Iterator[dict[str, Any]]:
    """Each ticket with corrected labels as a line of labelled JSONL, oldest first."""
    said = export.corrections()
    rows = session.execute(
        select(Ticket, Reply, said.c.given)
        .join(said, said.c.ticket_id == Ticket.id)
        .outerjoin(Reply, Reply.id == Ticket.reply_id)
        .where(said.c.given.has_any(array(LABELS)), Ticket.erased_at.is_(None))
        .order_by(Ticket.id)
        .execution_options(yield_per=export.AT_A_TIME)
    )
    for ticket, reply, given in rows:
        labels = {field: given.get(field, getattr(reply, field, None)) for field in LABELS}
        yield {
            "id": f"{ticket.source}:{ticket.external_id}",
            "subject": ticket.subject,
            "body": ticket.body,
            "locale": ticket.locale,
            "language": ticket.language,
            **{field: value for field, value in labels.items() if value},
        }
