"""Whether the customer has written again since, asked in SQL."""

from sqlalchemy import ColumnElement, exists
from sqlalchemy.orm import aliased

from worker.tickets.rows import Ticket
from worker.tickets.states import State


def has_newer_message(ticket: type[Ticket] | Ticket) -> ColumnElement[bool]:
    """Of one ticket, or of each that a statement looks at."""
    newer = aliased(Ticket)
    return exists().where(
        newer.source == ticket.source,
        newer.external_id == ticket.external_id,
        newer.id > ticket.id,
        newer.state != State.IGNORED,  # such as the note that we wrote back
    )
