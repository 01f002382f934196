"""Which tickets are messages, and whether the customer has written again since, asked in SQL."""

from typing import Any

from sqlalchemy import ColumnElement, exists
from sqlalchemy.orm import aliased

from worker.tickets.rows import Ticket
from worker.tickets.states import State


def was_message(ticket: Any) -> ColumnElement[bool]:
    """Whether it is a customer's message, and no event such as the note that we wrote back.

    Ignored are also messages that a person discarded or that were erased: those were tried.
    """
    found: ColumnElement[bool] = (ticket.state != State.IGNORED) | (ticket.attempts > 0)
    return found


def has_newer_message(ticket: type[Ticket] | Ticket) -> ColumnElement[bool]:
    """Of one ticket, or of each that a statement looks at."""
    newer = aliased(Ticket)
    return exists().where(
        newer.source == ticket.source,
        newer.external_id == ticket.external_id,
        newer.id > ticket.id,
        was_message(newer),
    )
