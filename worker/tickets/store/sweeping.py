"""What the sweep does to forgotten rows: find what waits unannounced, free what nobody works on."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    CompoundSelect,
    Select,
    case,
    exists,
    func,
    insert,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.orm import Session

from worker.queues import Queue
from worker.tickets.rows import Attempt, DailyMix, Delivery, Reply, Rerun, Ticket
from worker.tickets.states import ANSWERED, State
from worker.tickets.store.among import among
from worker.tickets.store.attempts import lose_attempts
from worker.tickets.store.claims import Way, unlocked
from worker.tickets.store.endings import waiting_unless
from worker.tickets.store.intake import IMPORT
from worker.tickets.store.workers import served

SWEEP_LOCK = 0x7472_6961  # "tria": the advisory lock that lets several sweeps run
COUNT_LOCK = SWEEP_LOCK + 1
A_DAY = timedelta(days=1)
EPOCH_START = datetime(2000, 1, 1, tzinfo=UTC)
"""Days and hours are counted from here, as in the views."""
STOPPED_ANSWERING = "the worker stopped answering"


def take_sweep_lock(session: Session, lock: int = SWEEP_LOCK) -> bool:
    """Take a lock for this transaction; False if another sweep has it."""
    return bool(session.execute(select(func.pg_try_advisory_xact_lock(lock))).scalar())


def count_day(session: Session) -> bool:
    """Count the next day that is over and was not counted yet, but for the last hour's latecomers;
    False if there is none.

    A day with a ticket that is still open is not over, for a week. Nothing is counted while another
    sweep counts.
    """
    if not take_sweep_lock(session, COUNT_LOCK):
        return False
    counted = select(func.coalesce(func.max(DailyMix.day) + A_DAY, EPOCH_START)).scalar_subquery()
    first = select(func.min(Ticket.received_at)).where(
        Ticket.state.in_(ANSWERED), Ticket.received_at >= counted
    )
    found = select(func.date_bin(A_DAY, first.scalar_subquery(), EPOCH_START).label("day"))
    day = select(materialized(found, "next_day").c.day).scalar_subquery()
    # Found by their indexes, all of them: asked for the least, Postgres walks by `received_at`.
    still_open = materialized(
        union_all(
            *(
                select(Ticket.received_at).where(Ticket.state == state)
                for state in (State.RECEIVED, State.TRIAGING)
            )
        ),
        "still_open",
    )
    oldest = select(func.coalesce(func.min(still_open.c.received_at), func.now()))
    latest = func.least(
        func.now() - timedelta(hours=1),
        func.greatest(oldest.scalar_subquery(), func.now() - 7 * A_DAY),
    )
    language, category = func.coalesce(Ticket.language, ""), func.coalesce(Reply.category, "")
    rows = (
        select(day, language, category, func.count())
        .outerjoin(Reply, Reply.id == Ticket.reply_id)
        .where(
            Ticket.state.in_(ANSWERED),
            Ticket.received_at >= day,
            Ticket.received_at < day + A_DAY,
            day + A_DAY <= latest,
        )
        .group_by(language, category)
    )
    columns = ["day", "language", "category", "tickets"]
    counted_rows = session.execute(
        insert(DailyMix).from_select(columns, rows).returning(DailyMix.day)
    )
    return bool(counted_rows.all())


def materialized(found: Select[Any] | CompoundSelect[Any], name: str) -> CTE:
    """What is found once, before anything is asked of it."""
    return found.cte(name).prefix_with("materialized", dialect="postgresql")


def unannounced(
    session: Session, queue: str, *, older_than_s: float, limit: int
) -> Sequence[tuple[int, str]]:
    """Tickets of a queue that are due and that no message was sent for, as (id, queue), oldest
    first.

    A new ticket is given `older_than_s` seconds, in which the gateway announces it itself; one
    that was tried before is listed as soon as it is due.
    """
    rows = session.execute(
        select(Ticket.id, Ticket.queue)
        .where(
            Ticket.state == State.RECEIVED,
            Ticket.queue == queue,
            Ticket.announced_at.is_(None),
            Ticket.not_before <= func.now(),
            or_(
                Ticket.not_before <= func.now() - timedelta(seconds=older_than_s),
                Ticket.attempts > 0,
            ),
        )
        .order_by(Ticket.not_before)
        .limit(limit)
    )
    return [(ticket_id, queue) for ticket_id, queue in rows]


def announced_long_ago(
    session: Session, queue: str, *, older_than_s: float, limit: int
) -> Sequence[tuple[int, str]]:
    """Tickets of a queue that were announced and still wait, as (id, queue), oldest first."""
    rows = session.execute(
        select(Ticket.id, Ticket.queue)
        .where(
            Ticket.state == State.RECEIVED,
            Ticket.queue == queue,
            Ticket.announced_at <= func.now() - timedelta(seconds=older_than_s),
        )
        .order_by(Ticket.announced_at)
        .limit(limit)
    )
    return [(ticket_id, queue) for ticket_id, queue in rows]


def announced_counts(session: Session) -> dict[str, int]:
    """How many tickets and reruns were announced and still wait, by queue."""
    counts: Counter[str] = Counter()
    for way in (Ticket, Rerun):
        rows = session.execute(
            select(way.queue, func.count())
            .where(way.state == State.RECEIVED, way.announced_at.is_not(None))
            .group_by(way.queue)
        )
        counts.update(dict(rows.all()))
    return counts


def free_expired(session: Session, *, max_crashes: int) -> list[int]:
    """Take back what a lease ran out for; after the last such end a person gets it.

    Returns the ids of the tickets.
    """
    lost = [
        *free(session, Ticket, Ticket.id, Attempt.replay_id.is_(None), max_crashes=max_crashes),
        *free(session, Rerun, Rerun.ticket_id, Attempt.replay_id == Rerun.replay_id,
              max_crashes=max_crashes),
    ]  # fmt: skip
    attempt_ids = [attempt_id for _, attempt_id in lost]
    lose_attempts(session, among(Attempt.id, attempt_ids), reason=STOPPED_ANSWERING)
    return [ticket_id for ticket_id, _ in lost]


def free(
    session: Session,
    way: Way,
    ticket_id: Any,
    is_its_attempt: ColumnElement[bool],
    *,
    max_crashes: int,
) -> Sequence[Any]:
    """The same in one table; (ticket id, id of the attempt that was lost) of each.

    Where a renewal is being committed its row is locked: that worker lives.
    """
    attempt_id = (
        select(Attempt.id)
        .where(Attempt.ticket_id == ticket_id, is_its_attempt, Attempt.number == way.attempts)
        .scalar_subquery()
    )
    return session.execute(
        update(way)
        .where(unlocked(way, way.state == State.TRIAGING, way.claimed_until < func.now()))
        .values(
            state=waiting_unless(way.crashes + 1 >= max_crashes),
            crashes=way.crashes + 1,
            reason=STOPPED_ANSWERING,
            not_before=func.now(),
            announced_at=None,
            claimed_by=None,
            claimed_until=None,
            updated_at=func.now(),
            attempt_id=attempt_id,
        )
        .returning(ticket_id, way.attempt_id)
    ).all()


def take_back_long(session: Session, *, older_than_s: float) -> None:
    """Take tickets and reruns back from the long queue that nobody serves any more.

    They wait there for `older_than_s` seconds, in which a worker may be started again. A rerun for
    one profile went there for its sake, and stays. What was imported is bulk work again.
    """
    imported = exists().where(Delivery.ticket_id == Ticket.id, Delivery.event == IMPORT)
    of_ticket = case((imported, Queue.BULK), else_=Queue.LIVE)
    for way, queue, may_go in (
        (Ticket, of_ticket, true()),
        (Rerun, Queue.REPLAY, Rerun.profile.is_(None)),
    ):
        session.execute(
            update(way)
            .where(
                way.state == State.RECEIVED,
                way.queue == Queue.LONG,
                way.updated_at < func.now() - timedelta(seconds=older_than_s),
                ~served(Queue.LONG),
                may_go,
            )
            .values(queue=queue, announced_at=None, updated_at=func.now())
        )


def oldest_live_s(session: Session) -> float:
    """How long the oldest live ticket that is due has waited, in seconds; 0 if none waits."""
    oldest = func.min(Ticket.not_before)
    age = select(func.extract("epoch", func.now() - oldest)).where(
        Ticket.state == State.RECEIVED,
        Ticket.queue == Queue.LIVE,
        Ticket.not_before <= func.now(),
    )
    return float(session.execute(age).scalar() or 0.0)


def live_is_here(session: Session) -> bool:
    """Whether a live ticket waits or is in work."""
    waits = (Ticket.state == State.RECEIVED) & (Ticket.not_before <= func.now())
    return bool(
        session.execute(
            select(
                exists().where(Ticket.queue == Queue.LIVE, waits)
                | exists().where(Ticket.queue == Queue.LIVE, Ticket.state == State.TRIAGING)
            )
        ).scalar()
    )
