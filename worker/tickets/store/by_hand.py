"""What people do to tickets by hand: correct them, run dead ones again, discard them.

Each is kept in `audit` with its actor and reason, in the same transaction.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import exists, insert, or_, select, update
from sqlalchemy.orm import Session

from worker.tickets.rows import Act, Attempt, Correction, Reply, Ticket
from worker.tickets.states import Outcome, State
from worker.tickets.store.among import among


def correct(
    session: Session, ticket_id: int, values: Mapping[str, str], *, by: str, note: str | None
) -> bool:
    """Keep a person's values beside the model's; False if there is no such ticket, or no text of
    it any more.

    The model's reply stays as it is, and a later attempt changes no correction.
    """
    found = session.execute(
        select(Ticket.reply_id)
        .where(Ticket.id == ticket_id, Ticket.erased_at.is_(None))
        .with_for_update(key_share=True)
    ).one_or_none()
    if found is None:
        return False
    # Asked for once the ticket is locked: it may just have got another reply.
    reply = session.get(Reply, found.reply_id) if found.reply_id else None
    session.execute(
        insert(Correction),
        [
            {
                "ticket_id": ticket_id,
                "field": field,
                "value": value,
                "model_value": getattr(reply, field) if reply else None,
                "reply_id": reply.id if reply else None,
                "note": note,
                "corrected_by": by,
            }
            for field, value in values.items()
        ],
    )
    act(session, "correct", by=by, reason=note, ticket_id=ticket_id,
        result={"fields": sorted(values)})  # fmt: skip
    return True


def run_again(
    session: Session, ticket_ids: Sequence[int], *, by: str, reason: str | None
) -> list[tuple[int, str]]:
    """Give dead tickets all their tries back; those that were dead, as (id, queue)."""
    rows = session.execute(
        update(Ticket)
        .where(*dead(), among(Ticket.id, ticket_ids))
        .values(
            state=State.RECEIVED,
            failures=0,
            crashes=0,
            announced_at=None,
            reason=None,
        )
        .returning(Ticket.id, Ticket.queue)
    ).all()
    for ticket_id, _ in rows:
        act(session, "dead retry", by=by, reason=reason, ticket_id=ticket_id)
    return [(ticket_id, queue) for ticket_id, queue in rows]


def discard(
    session: Session, ticket_ids: Sequence[int], *, by: str, reason: str | None
) -> list[int]:
    """Put dead tickets away for good; the ids of those that were dead."""
    ids = session.scalars(
        update(Ticket)
        .where(*dead(), among(Ticket.id, ticket_ids))
        .values(state=State.IGNORED, reason=f"discarded by {by}")
        .returning(Ticket.id)
    ).all()
    for ticket_id in ids:
        act(session, "dead discard", by=by, reason=reason, ticket_id=ticket_id)
    return list(ids)


def dead() -> tuple[Any, ...]:
    """A dead letter: a person has it because the last try failed or the engine refused it, not
    because of an answer; one that was erased has nothing left to try.
    """
    last_try_failed = exists().where(
        Attempt.id == Ticket.attempt_id,
        or_(
            Attempt.outcome.in_([Outcome.RETRY, Outcome.CRASHED, Outcome.LOST]),
            (Attempt.outcome == Outcome.NEEDS_HUMAN) & Attempt.error.is_not(None),
        ),
    )
    return (Ticket.state == State.NEEDS_HUMAN, Ticket.erased_at.is_(None), last_try_failed)


def act(
    session: Session,
    action: str,
    *,
    by: str,
    reason: str | None,
    ticket_id: int | None = None,
    selection: Mapping[str, Any] | None = None,
    result: Mapping[str, Any] | None = None,
) -> None:
    """Note what a person did."""
    session.execute(
        insert(Act).values(
            actor=by,
            action=action,
            reason=reason,
            ticket_id=ticket_id,
            selection=selection,
            result=result,
        )
    )
