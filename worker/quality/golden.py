"""The golden set: tickets that a person corrected, with what the person says. Writes nothing."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import Session

from schemas.reply import LABELS
from worker.tickets import export
from worker.tickets.rows import Ticket


def golden_tickets(session: Session) -> Iterator[dict[str, Any]]:
    """Each ticket with corrected labels as a line of labelled JSONL, oldest first."""
    said = export.corrections()
    rows = session.execute(
        select(Ticket, said.c.given)
        .join(said, said.c.ticket_id == Ticket.id)
        .where(said.c.given.has_any(array(LABELS)), Ticket.erased_at.is_(None))
        .order_by(Ticket.id)
        .execution_options(yield_per=export.AT_A_TIME)
    )
    for ticket, given in rows:
        yield {
            "id": f"{ticket.source}:{ticket.external_id}",
            "subject": ticket.subject,
            "body": ticket.body,
            "locale": ticket.locale,
            "language": ticket.language,
            **{field: given[field] for field in LABELS if field in given},
        }
