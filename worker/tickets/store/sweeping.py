"""What the sweep does to forgotten rows: find what waits unannounced, free what nobody works on."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import case, func, or_, select, update
from sqlalchemy.orm import Session

from worker.tickets.rows import Attempt, Ticket
from worker.tickets.states import Outcome, State

SWEEP_LOCK = 0x7472_6961  # "tria": the advisory lock that lets several sweeps run


def is_ours(session: Session) -> bool:
    """Take the sweep's lock for this transaction; False if another sweep is at work."""
    return bool(session.execute(select(func.pg_try_advisory_xact_lock(SWEEP_LOCK))).scalar())


def waiting(
    session: Session, *, unannounced_s: float, announced_s: float, limit: int
) -> Sequence[tuple[int, str]]:
    """Tickets that are due but whose message is missing, as (id, queue), oldest first.

    A new ticket is missing its message `unannounced_s` after it came, one that was tried before
    as soon as it is due; one announced long ago (`announced_s`) may have lost it with its broker.
    """
    age = func.now() - func.greatest(Ticket.not_before, Ticket.received_at)
    rows = session.execute(
        select(Ticket.id, Ticket.queue)
        .where(
            Ticket.state == State.RECEIVED,
            Ticket.not_before <= func.now(),
            or_(
                Ticket.announced_at.is_(None)
                & ((age >= timedelta(seconds=unannounced_s)) | (Ticket.attempts > 0)),
                Ticket.announced_at <= func.now() - timedelta(seconds=announced_s),
            ),
        )
        .order_by(Ticket.not_before)
        .limit(limit)
    )
    return [(ticket_id, queue) for ticket_id, queue in rows]


def free_expired(session: Session, *, max_attempts: int) -> list[int]:
    """Take tickets back whose lease ran out; after the last attempt a person gets them."""
    rows = session.execute(
        update(Ticket)
        .where(Ticket.state == State.TRIAGING, Ticket.claimed_until < func.now())
        .values(
            state=case(
                (Ticket.failures + 1 >= max_attempts, State.NEEDS_HUMAN.value),
                else_=State.RECEIVED.value,
            ),
            failures=Ticket.failures + 1,
            reason="the worker stopped answering",
            not_before=func.now(),
            announced_at=None,
            claimed_by=None,
            claimed_until=None,
            updated_at=func.now(),
        )
        .returning(Ticket.id, Ticket.attempts)
    ).all()
    for ticket_id, number in rows:
        session.execute(
            update(Attempt)
            .where(Attempt.ticket_id == ticket_id, Attempt.number == number)
            .values(
                outcome=Outcome.LOST,
                reason="the worker stopped answering",
                finished_at=func.clock_timestamp(),
            )
        )
    return [ticket_id for ticket_id, _ in rows]
