"""Which reruns of a replay wait, are on their way, and are still to be done."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from worker.queues import Queue
from worker.tickets.rows import Rerun
from worker.tickets.states import State
from worker.tickets.store.workers import Route

OPEN = (State.RECEIVED, State.TRIAGING)


def to_announce(session: Session, replay_id: int, *, limit: int) -> Sequence[tuple[int, str]]:
    """Take so many reruns that are due and that no message was sent for, as (ticket id, queue).

    They count as announced from here on: a worker may take one, or pass it on, before its message
    is known to have been sent. `unsent` takes that back.
    """
    due = (
        select(Rerun.id)
        .where(
            Rerun.replay_id == replay_id,
            Rerun.state == State.RECEIVED,
            Rerun.announced_at.is_(None),
            Rerun.not_before <= func.now(),
        )
        .limit(limit)
    )
    rows = session.execute(
        update(Rerun)
        .where(Rerun.id.in_(due.scalar_subquery()), Rerun.state == State.RECEIVED)
        .values(announced_at=func.now())
        .returning(Rerun.ticket_id, Rerun.queue)
    )
    return [(ticket_id, queue) for ticket_id, queue in rows]


def note_unsent(session: Session, replay_id: int, ticket_ids: Sequence[int]) -> None:
    """Note that no message for these reruns has reached the broker."""
    session.execute(
        update(Rerun)
        .where(
            Rerun.replay_id == replay_id,
            Rerun.ticket_id.in_(ticket_ids),
            Rerun.state == State.RECEIVED,
        )
        .values(announced_at=None)
    )


def announce_again(
    session: Session, replay_id: int, queues: Collection[str] = tuple(Queue)
) -> None:
    """Forget the messages of reruns that still wait in these queues: they are lost, or were taken
    in a pause.
    """
    session.execute(
        update(Rerun)
        .where(
            Rerun.replay_id == replay_id,
            Rerun.state == State.RECEIVED,
            Rerun.announced_at.is_not(None),
            Rerun.queue.in_(queues),
        )
        .values(announced_at=None)
    )


def out(session: Session, replay_id: int) -> int:
    """How many reruns are on their way: announced and not taken yet, or in work."""
    is_out = Rerun.announced_at.is_not(None) & (Rerun.state == State.RECEIVED)
    return count_of(session, replay_id, is_out) + count_of(
        session, replay_id, Rerun.state == State.TRIAGING
    )


def left(session: Session, replay_id: int) -> Mapping[Route, int]:
    """How many reruns are not done yet, by the queue they go to and the profile they are for."""
    rows = session.execute(
        select(Rerun.queue, Rerun.profile, func.count())
        .where(Rerun.replay_id == replay_id, Rerun.state.in_(OPEN))
        .group_by(Rerun.queue, Rerun.profile)
    )
    return {(Queue(queue), profile): count for queue, profile, count in rows}


def count_of(session: Session, replay_id: int, condition: ColumnElement[bool]) -> int:
    rows = select(func.count()).where(Rerun.replay_id == replay_id, condition)
    return session.execute(rows).scalar_one()
