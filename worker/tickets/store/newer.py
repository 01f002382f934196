"""Which tickets are messages, and whether the customer has written again since, asked in SQL."""

from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists
from sqlalchemy.orm import aliased

from worker.tickets.rows import Ticket
from worker.tickets.states import State


def was_message(ticket: Any) -> ColumnElement[bool]:
    """Whether it is a customer's message, and no event such as the note that we wrote back.

    Ignored are also messages that a person discarded or that were erased: those were tried.
    """
    found: ColumnElement[bool] = (ticket.state != State.IGNORED) | (ticket.attempts > 0)
    return found


def has_newer_message() -> ColumnElement[bool]:
    """Of each ticket that a statement looks at."""
    newer = aliased(Ticket)
    return exists().where(is_newer(newer, Ticket), was_message(newer))


def is_newer(one: Any, other: Any) -> ColumnElement[bool]:
    """Whether one message of a conversation was written after another.

    Webhooks may come in another order than messages were written; where the helpdesk did not tell
    when that was, theirs is all there is.
    """
    then, before = one.source_updated_at, other.source_updated_at
    return and_(
        same_conversation(one, other),
        case((then != before, then > before), else_=one.id > other.id),
    )


def same_conversation(one: Any, other: Any) -> ColumnElement[bool]:
    """Whether two messages, columns or rows, are of one ticket over there."""
    return and_(one.source == other.source, one.external_id == other.external_id)
